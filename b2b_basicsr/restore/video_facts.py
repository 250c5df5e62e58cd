"""What a video file says of itself."""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2

from b2b_basicsr.data.video_opening import open_video
from b2b_basicsr.errors import UserError
from b2b_basicsr.restore.ffmpeg_call import as_input

_COUNTED = ('.mp4', '.mov', '.m4v', '.3gp', '.avi')
"""Containers whose header counts the frames; elsewhere their number is a guess from the duration."""
_WITH_DELAYS = ('.mp4', '.mov', '.m4v', '.3gp', '.mkv', '.webm')
_WITH_EDIT_LISTS = ('.mp4', '.mov', '.m4v', '.3gp')
COLOUR_TAGS = {'color_space': '-colorspace', 'color_primaries': '-color_primaries', 'color_transfer': '-color_trc'}
_USUAL_RATE = Fraction(25)
_OUT_OF_TURN = 1.05
"""Frames' times; a little more than one, as times in files are rounded."""
_SPEAKER = re.compile(r'^\[[^]]* @ 0x[0-9a-f]+\] ')


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


def opened_facts(path: Path) -> VideoFacts:
    """By OpenCV.

    Raises:
        UserError: if it cannot be opened as a video.
    """
    capture = opened_by_opencv(path)
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


def probed_facts(path: Path) -> VideoFacts:
    """By ffprobe.

    Raises:
        UserError: if there are no pictures in it, or it is cut off.
    """
    probed = _probed(path)
    streams = probed.get('streams', [])
    shown = [stream for stream in streams if stream.get('codec_type') == 'video' and not _is_cover(stream)]
    if not shown or not shown[0].get('width'):
        reason = 'it has no stream of pictures' if probed.get('streams') else f'ffprobe: {probed["wrong"]}'
        raise unreadable(reason)
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
        colour={key: value for key in COLOUR_TAGS if (value := video.get(key, 'unknown')) not in ('unknown', 'gbr')},
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
    asked = ['ffprobe', '-v', 'error', *wanted, '-of', 'json', as_input(path)]
    answer = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    lines = answer.stderr.decode('utf-8', 'replace').replace(f'{as_input(path)}: ', '').splitlines()
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
        raise cut_off(path, f'{max(ends):.2f} of {lasting:.2f} seconds')


def cut_off(path: Path, whole: str) -> UserError:
    """The mistake of a file that ends too soon; ``whole`` says after how much of how much."""
    return UserError(
        f'ends after {whole}: it is cut off, or broken there; mend it '
        f'(ffmpeg -i {path.name} mended{path.suffix}) or leave it out'
    )


def unreadable(reason: str) -> UserError:
    """The mistake of a file that is no video."""
    return UserError(f'cannot be read as a video ({reason}); leave it out, or mend it')


def opened_by_opencv(path: Path) -> cv2.VideoCapture:
    """A video to read from; to be released.

    Raises:
        UserError: if it cannot be opened as one.
    """
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what is wrong, we say
    try:
        return open_video(path, path.name)
    except UserError as mistake:
        raise unreadable(f'OpenCV {cv2.__version__}; ffmpeg and ffprobe, if you install them, say why') from mistake
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
