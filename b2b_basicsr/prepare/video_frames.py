"""Videos sampled to pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2

from b2b_basicsr.data.video_opening import open_video, unreadable_video
from b2b_basicsr.errors import UserError


@dataclass(frozen=True)
class SampledVideo:
    """What was taken of a video.

    Args:
        taken: number of frames written.
        read: number of frames in the file, as far as it could be read.
        claimed: number of frames that its header claims; 0 if unknown.
    """

    taken: int
    read: int
    claimed: int

    @property
    def cut_off(self) -> bool:
        """Whether clearly less could be read than the header claims."""
        return self.read < 0.9 * self.claimed


def sample_video(video: Path, name: str, folder: Path, rate: float) -> SampledVideo:
    """Write frames of a video as PNG, named by their place in it: ``000000.png``, ``000015.png``, ...

    Args:
        video: the file.
        name: of the video, for messages.
        folder: for the frames; is made.
        rate: frames a second; 0, or more than the video has: every frame. A video of unknown rate gives every frame.

    Raises:
        UserError: if the file cannot be opened as a video, or not one frame can be decoded.
        OSError: if a frame cannot be written, or a file of its name is there.
    """
    capture = open_video(video, name)
    try:
        native = capture.get(cv2.CAP_PROP_FPS)
        step = native / rate if rate > 0 and native > rate else 1.0
        claimed = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        folder.mkdir(parents=True, exist_ok=True)
        read = taken = 0
        while capture.grab():
            if read >= taken * step - 1e-6:
                decoded, frame = capture.retrieve()
                if decoded:
                    encoded, content = cv2.imencode('.png', frame)
                    if not encoded:
                        raise UserError(f'{name}: frame {read} cannot be written as PNG; leave the video out')
                    # never through what is there: it may be a hard link to a picture of the user's
                    with (folder / f'{read:06}.png').open('xb') as file:
                        file.write(content.tobytes())
                    taken += 1
            read += 1
    finally:
        capture.release()
    if not taken:
        raise unreadable_video(name)
    return SampledVideo(taken, read, claimed)
