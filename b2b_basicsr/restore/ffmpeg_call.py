"""What every call of ffmpeg needs."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import IO

FFMPEG = ('ffmpeg', '-nostdin', '-hide_banner', '-loglevel', 'error', '-y')


def ffmpeg_is_there() -> bool:
    """Whether ``ffmpeg`` and ``ffprobe`` are on the PATH."""
    return all(shutil.which(name) for name in ('ffmpeg', 'ffprobe'))


def as_input(path: Path) -> str:
    """A file's name for ffmpeg, which would take what stands before a colon in it for a protocol."""
    return f'file:{path}'


@lru_cache
def every_frame_once() -> tuple[str, str]:
    """The option by which ffmpeg neither drops nor doubles frames, whatever their times."""
    said = subprocess.run(['ffmpeg', '-version'], stdin=subprocess.DEVNULL, capture_output=True, check=False).stdout
    version = re.match(rb'ffmpeg version n?(\d+)\.(\d+)', said)
    old = version is not None and (int(version[1]), int(version[2])) < (5, 1)
    return ('-vsync', 'passthrough') if old else ('-fps_mode', 'passthrough')


def last_lines(log: IO[bytes]) -> str:
    """The last two lines of what was written to a log, in one; empty if there is none."""
    log.seek(0)
    lines = [line.strip() for line in log.read().decode('utf-8', 'replace').splitlines()]
    return '; '.join([line for line in lines if line][-2:])
