"""Small sets of pictures with a blur of their own."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image


def scene(seed: int, side: int = 96) -> NDArray[np.uint8]:
    """Rectangles of all sizes, as photographs have edges: uint8 [side, side, 3]."""
    generator = np.random.default_rng(seed)
    picture = np.full((side, side, 3), 128, np.uint8)
    for _ in range(80):
        left, top = generator.integers(-10, side, 2)
        width, height = generator.integers(3, 40, 2)
        colour = tuple(int(value) for value in generator.integers(0, 256, 3))
        cv2.rectangle(picture, (int(left), int(top)), (int(left + width), int(top + height)), colour, -1)
    return picture


def write_set(folder: Path, seeds: range, blur: tuple[int, int] | None, side: int = 96) -> Path:
    """Writes scenes, blurred by a box of (width, height) pixels, as PNG."""
    folder.mkdir(parents=True)
    for seed in seeds:
        picture = scene(seed, side)
        shown = picture if blur is None else np.asarray(cv2.blur(picture, blur))
        Image.fromarray(shown).save(folder / f'{seed:03}.png', compress_level=1)
    return folder


def write_pairs(folder: Path, seeds: range, blur: tuple[int, int], side: int = 96) -> Path:
    """Writes ``train/blur`` and ``train/sharp``."""
    write_set(folder / 'train' / 'blur', seeds, blur, side)
    write_set(folder / 'train' / 'sharp', seeds, None, side)
    return folder
