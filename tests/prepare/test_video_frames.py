from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.video_frames import sample_video
from tests.prepare.published_archives import make_video, sharp_frame


@pytest.mark.parametrize(
    ('rate', 'taken'),
    [
        (0, range(12)),
        (100, range(12)),
        (6, range(12)),
        (3, range(0, 12, 2)),
        (2, range(0, 12, 3)),
        (4, (0, 2, 3, 5, 6, 8, 9, 11)),
    ],
)
def test_frames_are_taken_evenly_and_named_by_their_place(tmp_path: Path, rate: float, taken: range) -> None:
    video = make_video(tmp_path / 'clip.mp4', frames=12, fps=6)
    sampled = sample_video(video, 'clip', tmp_path / 'frames', rate)
    assert sorted(path.name for path in (tmp_path / 'frames').iterdir()) == [f'{place:06}.png' for place in taken]
    assert (sampled.taken, sampled.read, sampled.cut_off) == (len(taken), 12, False)


def test_a_frame_is_the_videos_at_that_moment(tmp_path: Path) -> None:
    video = make_video(tmp_path / 'clip.mp4', scene=1, frames=12, fps=6)
    sample_video(video, 'clip', tmp_path, 2)
    frame = cv2.imread(str(tmp_path / '000006.png'))
    assert frame is not None
    error = [np.abs(frame.astype(float) - sharp_frame(1, place, (96, 64))).mean() for place in range(12)]
    assert int(np.argmin(error)) == 6


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (b'', 'is text or empty'),
        (b'#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n', 'is text or empty'),
        (b'\n#EXTM3U\n\xff\xfehttp://example.org/\n', 'is text or empty'),
        (b'ffconcat version 1.0\nfile /etc/passwd\n\xff', 'is text or empty'),
        (bytes(range(256)) * 20, 'cannot be read as a video'),
    ],
)
def test_what_is_no_video_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / 'clip.mp4').write_bytes(content)
    with pytest.raises(UserError, match=f'^archive.zip: clip.mp4: {said}'):
        sample_video(tmp_path / 'clip.mp4', 'archive.zip: clip.mp4', tmp_path / 'frames', 0)


def test_a_frame_is_not_written_through_a_link_that_is_there(tmp_path: Path) -> None:
    video = make_video(tmp_path / 'clip.mp4', frames=4, fps=6)
    precious = tmp_path / 'precious.png'
    precious.write_bytes(b'precious')
    (tmp_path / 'frames').mkdir()
    os.link(precious, tmp_path / 'frames' / '000002.png')
    with pytest.raises(FileExistsError):
        sample_video(video, 'clip', tmp_path / 'frames', 0)
    assert precious.read_bytes() == b'precious'
