"""Videos of new frames, with the rate, the sound and the metadata of another."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from b2b_basicsr.errors import UserError
from b2b_basicsr.restore.ffmpeg_call import FFMPEG, as_input, every_frame_once, ffmpeg_is_there, last_lines
from b2b_basicsr.restore.video_facts import COLOUR_TAGS, VideoFacts
from b2b_basicsr.restore.video_source import Frame, VideoSource
from b2b_basicsr.whole_file import whole_file

_H264 = ('-c:v', 'libx264', '-preset', 'medium', '-crf', '16')
_MPEG4 = ('-c:v', 'mpeg4', '-qscale:v', '2')
_ENCODERS: dict[str, Sequence[Sequence[str]]] = {
    '.webm': (
        ('-c:v', 'libvpx-vp9', '-crf', '18', '-b:v', '0', '-row-mt', '1', '-deadline', 'good', '-cpu-used', '4'),
    ),
    # without frames out of their order, for which AVI has no times: sound would be delayed
    '.avi': ((*_H264, '-bf', '0'), _MPEG4),
    '.mpg': (('-c:v', 'mpeg2video', '-qscale:v', '2'),),
    '.mpeg': (('-c:v', 'mpeg2video', '-qscale:v', '2'),),
    '.wmv': (('-c:v', 'wmv2', '-qscale:v', '2'),),
}
_COMMON_ENCODERS = (_H264, _MPEG4)
_CARRIED_STREAMS = (('-map', '1:a?', '-map', '1:s?'), ('-map', '1:a?'), ())
_MATRICES = {'bt709': 'bt709', 'bt2020nc': 'bt2020', 'smpte170m': 'bt601', 'bt470bg': 'bt601'}
_OPENCV_CODES = {'.avi': 'XVID', '.webm': 'VP90'}


class VideoWriter(ABC):
    """Takes the frames of a video."""

    left_out: str = ''
    """What of the source is not in the new video, in words; empty: nothing."""

    @abstractmethod
    def write(self, frame: Frame) -> None:
        """Adds an RGB frame, uint8 [h, w, 3].

        Raises:
            UserError: if it cannot be written.
        """

    @abstractmethod
    def finish(self) -> None:
        """Completes the file.

        Raises:
            UserError: if it cannot be written.
        """

    @abstractmethod
    def abort(self) -> None:
        """Gives up, at once."""


@contextlib.contextmanager
def video_to(out: Path, width: int, height: int, source: VideoSource) -> Iterator[VideoWriter]:
    """A new video with the rate, sound, subtitles and metadata of another, there whole or not at all.

    Without ffmpeg OpenCV writes it, without all that but the rate.

    Args:
        out: the file; replaced, if it is there, when the block ends well.
        width: of its frames, in pixels.
        height: likewise.
        source: the other video.

    Raises:
        UserError: if such a video cannot be written.
        OSError: if the file cannot be.
    """
    with whole_file(out) as temporary:
        writer: VideoWriter
        if ffmpeg_is_there():
            writer = _FfmpegWriter(temporary, width, height, source)
        else:
            writer = _OpenCVWriter(temporary, width, height, source)
        try:
            yield writer
            writer.finish()
        except BaseException:
            writer.abort()
            raise


class _FfmpegWriter(VideoWriter):
    def __init__(self, path: Path, width: int, height: int, source: VideoSource) -> None:
        facts = source.facts
        others = _CARRIED_STREAMS if facts.has_others else _CARRIED_STREAMS[-1:]
        encoders = _ENCODERS.get(path.suffix.lower(), _COMMON_ENCODERS)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        for place, (encoder, streams) in enumerate((encoder, streams) for encoder in encoders for streams in others):
            output = _output_arguments(path, width, height, source, encoder, streams)
            if self._accepts(width, height, facts, source.path, output):
                left = ('', 'subtitles', 'sound and subtitles')[place % len(others)]
                self.left_out = f'{left}, which ffmpeg cannot copy' if left else ''
                break
        else:
            reason = self._reason()
            self._log.close()
            raise UserError(f'ffmpeg cannot write such a video ({reason})')
        raw = ('-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', f'{width}x{height}', '-r', str(facts.rate))
        self._process = subprocess.Popen(
            [*FFMPEG, *raw, '-i', 'pipe:0', '-i', as_input(source.path), *output],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            start_new_session=True,  # Ctrl-C is for us: ffmpeg would end the file as if it were whole
        )

    def _accepts(self, width: int, height: int, facts: VideoFacts, source: Path, output: Sequence[str]) -> bool:
        """Tries a tenth of a second: what cannot be done shows before hours of restoring, not after."""
        blank = ('-f', 'lavfi', '-i', f'color=black:s={width}x{height}:r={facts.rate}:d=0.1')
        self._log.seek(0)
        self._log.truncate()
        trial = subprocess.run(
            [*FFMPEG, *blank, '-t', '0.1', '-i', as_input(source), '-t', '0.1', *output],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            start_new_session=True,
            check=False,
        )
        return trial.returncode == 0

    def write(self, frame: Frame) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(frame).data)
        except (BrokenPipeError, OSError) as cause:
            self._process.wait()
            raise self._failed() from cause

    def finish(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        if self._process.wait() != 0:
            raise self._failed()
        self._log.close()

    def abort(self) -> None:
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._log.close()

    def _failed(self) -> Exception:
        reason = self._reason()
        full = os.strerror(errno.ENOSPC)
        if full in reason:  # with which no other file would fare better
            return OSError(errno.ENOSPC, full)
        return UserError(f'ffmpeg stopped ({reason})')

    def _reason(self) -> str:
        return last_lines(self._log) or 'it does not say why'


class _OpenCVWriter(VideoWriter):
    left_out = 'sound'

    def __init__(self, path: Path, width: int, height: int, source: VideoSource) -> None:
        if width % 2 or height % 2:
            raise UserError(f'{width}x{height}, an odd size, cannot be written without ffmpeg; install ffmpeg')
        code = cv2.VideoWriter.fourcc(*_OPENCV_CODES.get(path.suffix.lower(), 'mp4v'))
        self._writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, float(source.facts.rate), (width, height))
        if not self._writer.isOpened():
            raise UserError(f'{path.suffix} cannot be written without ffmpeg; install ffmpeg, or convert it to .mp4')
        # It may be given up while another thread writes, for which it must not be freed within a frame.
        self._used = threading.Lock()

    def write(self, frame: Frame) -> None:
        with self._used:
            self._writer.write(np.ascontiguousarray(frame[..., ::-1]))

    def finish(self) -> None:
        with self._used:
            self._writer.release()

    def abort(self) -> None:
        self.finish()


def _output_arguments(
    path: Path, width: int, height: int, source: VideoSource, encoder: Sequence[str], streams: Sequence[str]
) -> list[str]:
    facts = source.facts
    own_format = 'libx264' in encoder
    pixels = facts.pixel_format if own_format else 'yuv420p'
    if own_format and (width % 2 or height % 2):
        pixels = 'yuv444p'  # the others of H.264 know even sizes alone
    # what is not named was taken for BT.601 in decoding, and is here again
    matrix = _MATRICES.get(facts.colour.get('color_space', ''), 'bt601')
    shape = f'setsar={facts.pixel_shape.numerator}/{facts.pixel_shape.denominator}'
    tags = [part for key, value in facts.colour.items() for part in (COLOUR_TAGS[key], value)]
    return [
        *('-map', '0:v:0', *streams, '-map_metadata:g', '1:g', '-map_chapters', '1'),
        *('-vf', f'scale=out_color_matrix={matrix}:out_range=tv,format={pixels},{shape},setpts=PTS+{facts.delay}'),
        *every_frame_once(),
        *(*encoder, '-color_range', 'tv', *tags, '-c:a', 'copy', '-c:s', 'copy'),
        *(('-movflags', '+faststart+use_metadata_tags') if path.suffix.lower() in ('.mp4', '.mov', '.m4v') else ()),
        as_input(path),
    ]
