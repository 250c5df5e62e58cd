"""Video files: frames in their order, and videos of other frames with the sound of the first."""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from b2b_basicsr.data.video_opening import open_video, refuse_playlist
from b2b_basicsr.errors import UserError
from b2b_basicsr.restore.whole_file import whole_file

Frame = NDArray[np.uint8]

_COUNTED = ('.mp4', '.mov', '.m4v', '.3gp', '.avi')
"""Containers whose header counts the frames; elsewhere their number is a guess from the duration."""
_WITH_DELAYS = ('.mp4', '.mov', '.m4v', '.3gp', '.mkv', '.webm')
_WITH_EDIT_LISTS = ('.mp4', '.mov', '.m4v', '.3gp')
_COLOUR_TAGS = {'color_space': '-colorspace', 'color_primaries': '-color_primaries', 'color_transfer': '-color_trc'}
_USUAL_RATE = Fraction(25)
_OUT_OF_TURN = 1.05
"""Frames' times; a little more than one, as times in files are rounded."""
_SPEAKER = re.compile(r'^\[[^]]* @ 0x[0-9a-f]+\] ')
_PICTURES = '0:V:0'
"""The first stream of pictures that is no cover."""
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


@dataclass(frozen=True)
class VideoFacts:
    """What a video's file says of it.

    Args:
        width: of a frame as it is shown, in pixels.
        height: likewise.
        rate: frames a second, the mean.
        announced: number of frames; 0 if unknown.
        counted: whether ``announced`` was counted, not guessed from the duration.
        rate_varies: whether a frame is shown more than a frame's time before or after its turn at the mean rate.
        delay: frames' times by which the pictures begin after the file's first stream.
        pixel_shape: width of a pixel by its height.
        colour: ffmpeg's names: ``color_space``, ``color_primaries``, ``color_transfer``, where they are known.
        pixel_format: ffmpeg's name of the 8-bit format that is nearest to the source's.
        has_others: whether there is sound, or are subtitles.
    """

    width: int
    height: int
    rate: Fraction
    announced: int
    counted: bool
    rate_varies: bool = False
    delay: int = 0
    pixel_shape: Fraction = Fraction(1)
    colour: Mapping[str, str] = field(default_factory=dict)
    pixel_format: str = 'yuv420p'
    has_others: bool = False


def ffmpeg_is_there() -> bool:
    """Whether ``ffmpeg`` and ``ffprobe`` are on the PATH."""
    return all(shutil.which(name) for name in ('ffmpeg', 'ffprobe'))


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
        with _unnamed(path):
            refuse_playlist(path, path.name)
        self.facts = _probed_facts(path) if ffmpeg_is_there() else _opened_facts(path)
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
            raise _unreadable(self.notes.pop() if self.notes else 'not one frame can be decoded')
        if facts.counted and read < facts.announced - max(2, facts.announced // 100):
            raise _cut_off(self.path, f'{read} of {facts.announced} frames')
        if not facts.counted and read < 0.9 * facts.announced:
            self.notes.append(f'{read} frames were read, about {facts.announced} were expected by its duration')

    def _by_opencv(self) -> Iterator[Frame]:
        capture = _opened(self.path)
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
                    *(*_FFMPEG, '-i', _as_input(self.path), '-map', _PICTURES, *_every_frame_once()),
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
            said = _last_lines(log)
        if said:
            self.notes.append(f'ffmpeg found something wrong in it ({said})')


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
            [*_FFMPEG, *raw, '-i', 'pipe:0', '-i', _as_input(source.path), *output],
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
            [*_FFMPEG, *blank, '-t', '0.1', '-i', _as_input(source), '-t', '0.1', *output],
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
            raise UserError(f'ffmpeg stopped ({self._reason()})') from cause

    def finish(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        if self._process.wait() != 0:
            raise UserError(f'ffmpeg failed ({self._reason()})')
        self._log.close()

    def abort(self) -> None:
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._log.close()

    def _reason(self) -> str:
        return _last_lines(self._log) or 'it does not say why'


class _OpenCVWriter(VideoWriter):
    left_out = 'sound'

    def __init__(self, path: Path, width: int, height: int, source: VideoSource) -> None:
        if width % 2 or height % 2:
            raise UserError(f'{width}x{height}, an odd size, cannot be written without ffmpeg; install ffmpeg')
        code = cv2.VideoWriter.fourcc(*_OPENCV_CODES.get(path.suffix.lower(), 'mp4v'))
        self._writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, float(source.facts.rate), (width, height))
        if not self._writer.isOpened():
            raise UserError(f'{path.suffix} cannot be written without ffmpeg; install ffmpeg, or convert it to .mp4')

    def write(self, frame: Frame) -> None:
        self._writer.write(np.ascontiguousarray(frame[..., ::-1]))

    def finish(self) -> None:
        self._writer.release()

    def abort(self) -> None:
        self._writer.release()


def _last_lines(log: IO[bytes]) -> str:
    log.seek(0)
    lines = [line.strip() for line in log.read().decode('utf-8', 'replace').splitlines()]
    return '; '.join([line for line in lines if line][-2:])


@lru_cache
def _every_frame_once() -> tuple[str, str]:
    """The option by which ffmpeg neither drops nor doubles frames, whatever their times."""
    said = subprocess.run(['ffmpeg', '-version'], stdin=subprocess.DEVNULL, capture_output=True, check=False).stdout
    version = re.match(rb'ffmpeg version n?(\d+)\.(\d+)', said)
    old = version is not None and (int(version[1]), int(version[2])) < (5, 1)
    return ('-vsync', 'passthrough') if old else ('-fps_mode', 'passthrough')


_FFMPEG = ('ffmpeg', '-nostdin', '-hide_banner', '-loglevel', 'error', '-y')


def _as_input(path: Path) -> str:
    return f'file:{path}'  # else a colon in a name makes a protocol of it


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
    tags = [part for key, value in facts.colour.items() for part in (_COLOUR_TAGS[key], value)]
    return [
        *('-map', '0:v:0', *streams, '-map_metadata:g', '1:g', '-map_chapters', '1'),
        *('-vf', f'scale=out_color_matrix={matrix}:out_range=tv,format={pixels},{shape},setpts=PTS+{facts.delay}'),
        *_every_frame_once(),
        *(*encoder, '-color_range', 'tv', *tags, '-c:a', 'copy', '-c:s', 'copy'),
        *(('-movflags', '+faststart+use_metadata_tags') if path.suffix.lower() in ('.mp4', '.mov', '.m4v') else ()),
        _as_input(path),
    ]


def _opened_facts(path: Path) -> VideoFacts:
    capture = _opened(path)
    try:
        rate = capture.get(cv2.CAP_PROP_FPS)
        return VideoFacts(
            width=round(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            height=round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
            rate=Fraction(rate).limit_denominator(1001) if 0 < rate < 1000 else _USUAL_RATE,
            announced=max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0),
            counted=path.suffix.lower() in _COUNTED,
        )
    finally:
        capture.release()


def _probed_facts(path: Path) -> VideoFacts:
    probed = _probed(path)
    streams = probed.get('streams', [])
    shown = [stream for stream in streams if stream.get('codec_type') == 'video' and not _is_cover(stream)]
    if not shown or not shown[0].get('width'):
        reason = 'it has no stream of pictures' if probed.get('streams') else f'ffprobe: {probed["wrong"]}'
        raise _unreadable(reason)
    _refuse_cut_off(path, probed)
    video = shown[0]
    turned = _turned(video)
    size = (video['width'], video['height'])
    mean, base = _fraction(video.get('avg_frame_rate')), _fraction(video.get('r_frame_rate'))
    counted = _whole(video.get('nb_frames'))
    if path.suffix.lower() == '.avi' and mean and mean == 2 * (base or 0):
        mean, counted = base, counted // 2  # its header speaks of fields, two of which are a frame
    rate = _rate(mean, base) or _USUAL_RATE
    packets = [packet for packet in probed.get('packets', []) if packet.get('stream_index') == video['index']]
    packets = [packet for packet in packets if 'D' not in packet.get('flags', '')]
    # an AVI may know when frames are decoded alone, which is as even as when they are shown
    clock = 'pts_time' if all('pts_time' in packet for packet in packets) else 'dts_time'
    times = sorted(float(packet[clock]) for packet in packets if clock in packet)
    if path.suffix.lower() in _WITH_EDIT_LISTS and (lasting := _seconds(video.get('duration'))):
        # A trimmed clip still counts the frames before and after what its edit list shows; its duration does not.
        counted = min(counted, math.ceil(lasting * rate))
    shape = _fraction(video.get('sample_aspect_ratio', '').replace(':', '/')) or Fraction(1)
    start = _seconds(video.get('start_time')) - _seconds(probed.get('format', {}).get('start_time'))
    return VideoFacts(
        width=size[turned],
        height=size[not turned],
        rate=rate,
        announced=max(counted, len(times)),
        counted=True,
        rate_varies=any(abs(time - times[0] - place / rate) > _OUT_OF_TURN / rate for place, time in enumerate(times)),
        delay=max(round(start * rate), 0) if path.suffix.lower() in _WITH_DELAYS else 0,
        pixel_shape=1 / shape if turned else shape,
        colour={key: value for key in _COLOUR_TAGS if (value := video.get(key, 'unknown')) not in ('unknown', 'gbr')},
        pixel_format=_pixel_format(video.get('pix_fmt', '')),
        has_others=any(stream.get('codec_type') in ('audio', 'subtitle') for stream in streams),
    )


def _probed(path: Path) -> dict[str, Any]:
    """What ffprobe says of the streams, the file and its packets; under ``wrong`` what it complains of."""
    said = _said_by_ffprobe(path, '-show_streams', '-show_format')
    # of a Matroska file all packets: they show where it ends
    select = () if _is_matroska(said) else ('-select_streams', 'V')
    entries = 'packet=stream_index,pts_time,dts_time,duration_time,flags'
    return {**_said_by_ffprobe(path, *select, '-show_entries', entries), **said}


def _said_by_ffprobe(path: Path, *wanted: str) -> dict[str, Any]:
    asked = ['ffprobe', '-v', 'error', *wanted, '-of', 'json', _as_input(path)]
    answer = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    lines = answer.stderr.decode('utf-8', 'replace').replace(f'{_as_input(path)}: ', '').splitlines()
    lines = [_SPEAKER.sub('', line).strip() for line in lines]
    try:
        said = json.loads(answer.stdout)
    except ValueError:
        said = {}
    return {
        **(said if isinstance(said, dict) else {}),
        'wrong': '; '.join(filter(None, lines)) or 'it does not say why',
    }


def _is_matroska(said: Mapping[str, Any]) -> bool:
    return 'matroska' in str(said.get('format', {}).get('format_name', ''))


def _refuse_cut_off(path: Path, probed: Mapping[str, Any]) -> None:
    """A Matroska file counts no frames, but it says how long it lasts.

    Raises:
        UserError: if no stream in it lasts nearly so long.
    """
    lasting = _seconds(probed.get('format', {}).get('duration'))
    ends = [
        _seconds(packet.get('pts_time', packet.get('dts_time'))) + _seconds(packet.get('duration_time'))
        for packet in probed.get('packets', [])
    ]
    if _is_matroska(probed) and ends and lasting - max(ends) > max(0.2, lasting / 100):
        raise _cut_off(path, f'{max(ends):.2f} of {lasting:.2f} seconds')


def _cut_off(path: Path, whole: str) -> UserError:
    return UserError(
        f'ends after {whole}: it is cut off, or broken there; mend it '
        f'(ffmpeg -i {path.name} mended{path.suffix}) or leave it out'
    )


def _unreadable(reason: str) -> UserError:
    return UserError(f'cannot be read as a video ({reason}); leave it out, or mend it')


@contextlib.contextmanager
def _unnamed(path: Path) -> Iterator[None]:
    """Who tells the mistake says which file it is."""
    try:
        yield
    except UserError as mistake:
        raise UserError(str(mistake).removeprefix(f'{path.name}: ')) from mistake


def _opened(path: Path) -> cv2.VideoCapture:
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what is wrong, we say
    try:
        return open_video(path, path.name)
    except UserError as mistake:
        raise _unreadable(f'OpenCV {cv2.__version__}; ffmpeg and ffprobe, if you install them, say why') from mistake
    finally:
        cv2.utils.logging.setLogLevel(before)


def _is_cover(stream: dict[str, Any]) -> bool:
    return bool(stream.get('disposition', {}).get('attached_pic'))


def _rate(mean: Fraction | None, base: Fraction | None) -> Fraction | None:
    """The mean rate; or the base rate, which is exact, where they are the same but for rounding."""
    if mean and base and abs(mean - base) < base / 1000:
        return base
    return mean or base


def _turned(video: Mapping[str, Any]) -> bool:
    """Whether width and height change places when it is shown."""
    return any(round(_seconds(side.get('rotation'))) % 180 == 90 for side in video.get('side_data_list', []))


def _pixel_format(pixel_format: str) -> str:
    for kind in ('444', '422'):
        if kind in pixel_format:
            return f'yuv{kind}p'
    return 'yuv420p'


def _fraction(said: str | None) -> Fraction | None:
    try:
        value = Fraction(said or '')
    except (ValueError, ZeroDivisionError):
        return None
    return value if value > 0 else None


def _whole(said: str | None) -> int:
    return int(said) if said and said.isdecimal() else 0


def _seconds(said: str | None) -> float:
    try:
        return float(said or 0)
    except ValueError:
        return 0.0
