"""Which files are pictures and which are videos, by their names."""

from __future__ import annotations

from pathlib import PurePath

from torchvision.datasets.folder import IMG_EXTENSIONS

VIDEO_EXTENSIONS = ('.mp4', '.mov', '.m4v', '.avi', '.mkv', '.webm', '.3gp', '.mts', '.m2ts', '.mpg', '.mpeg', '.wmv')


def is_picture(name: str) -> bool:
    """Whether data sets read a file of this name as a picture."""
    return PurePath(name).suffix.lower() in IMG_EXTENSIONS


def is_video(name: str) -> bool:
    """Whether a file of this name is taken for a video."""
    return PurePath(name).suffix.lower() in VIDEO_EXTENSIONS
