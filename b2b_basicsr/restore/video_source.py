"""The frames of a video file, in their order."""

from __future__ import annotations

import contextlib
import math
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from b2b_basicsr.data.video_opening import refuse_playlist
from b2b_basicsr.errors import UserError
from b2b_basicsr.restore.ffmpeg_call import FFMPEG, as_input, every_frame_once, ffmpeg_is_there, last_lines
from b2b_basicsr.restore.video_facts import cut_off, opened_by_opencv, opened_facts, probed_facts, unreadable

Frame = NDArray[np.uint8]

_PICTURES = '0:V:0'
"""The first stream of pictures that is no cover."""


class VideoSource:
    """A video to read, frame by frame, turned as it is to be shown: by ffmpeg where it is there, else by OpenCV.

    Args:
        path: the file.

    Raises:
        UserError: if it cannot be opened as a video.
        OSError: if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with unnamed(path):
            refuse_playlist(path, path.name)
        self.facts = probed_facts(path) if ffmpeg_is_there() else opened_facts(path)
        self.notes: list[str] = []
        """What the user should know; complete after all frames have been read."""
        if self.facts.rate_varies:
            mean = f'{float(self.facts.rate):.6g}'
            self.notes.append(f'its frames come at a varying rate; written at the mean, {mean} a second')

    def frames(self) -> Iterator[Frame]:
        """RGB frames, uint8 [h, w, 3].

        Raises:
            UserError: if there is none; or fewer than the file counts: it is cut off.
        """
        facts, read = self.facts, 0
        for frame in self._by_ffmpeg() if ffmpeg_is_there() else self._by_opencv():
            read += 1
            yield frame
        if not read:
            raise unreadable(self.notes.pop() if self.notes else 'not one frame can be decoded')
        if facts.counted and read < facts.announced - max(2, facts.announced // 100):
            raise cut_off(self.path, f'{read} of {facts.announced} frames')
        if not facts.counted and read < 0.9 * facts.announced:
            self.notes.append(f'{read} frames were read, about {facts.announced} were expected by its duration')

    def _by_opencv(self) -> Iterator[Frame]:
        capture = opened_by_opencv(self.path)
        try:
            while True:
                decoded, frame = capture.read()
                if not decoded:
                    return
                if frame.shape[:2] != (self.facts.height, self.facts.width):
                    raise UserError('changes its size on the way; convert it to one size first')
                yield np.ascontiguousarray(frame[..., ::-1])
        finally:
            capture.release()

    def _by_ffmpeg(self) -> Iterator[Frame]:
        shape = (self.facts.height, self.facts.width, 3)
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                [
                    *(*FFMPEG, '-i', as_input(self.path), '-map', _PICTURES, *every_frame_once()),
                    *('-s', f'{shape[1]}x{shape[0]}', '-pix_fmt', 'rgb24', '-f', 'rawvideo', 'pipe:1'),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
            assert process.stdout is not None
            try:
                while len(content := process.stdout.read(math.prod(shape))) == math.prod(shape):
                    yield np.frombuffer(content, np.uint8).reshape(shape)
                process.wait()
            finally:
                process.kill()
                process.wait()
                process.stdout.close()
            said = last_lines(log)
        if said:
            self.notes.append(f'ffmpeg found something wrong in it ({said})')


@contextlib.contextmanager
def unnamed(path: Path) -> Iterator[None]:
    """Who tells the mistake says which file it is."""
    try:
        yield
    except UserError as mistake:
        raise UserError(str(mistake).removeprefix(f'{path.name}: ')) from mistake
