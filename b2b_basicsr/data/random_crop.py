"""A random crop of a picture that is resized first, without resizing the rest of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Size = tuple[int, int]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""


class Croppable(Protocol):
    """What is needed of a picture, 8-bit RGB, to cut from it; ``PIL.Image.Image`` has it."""

    @property
    def size(self) -> Size:
        """Width and height in pixels."""

    def crop(self, box: Box) -> Image.Image:
        """The pixels in a box."""

    def resize(self, size: Size, resample: int, box: tuple[float, float, float, float]) -> Image.Image:
        """A box of the picture resampled to ``size``; filters read beyond it where the picture goes on."""


def resized(size: Size, shorter_side: int | None, scale: float = 1.0) -> Size:
    """Width and height once the shorter side measures ``shorter_side * scale`` pixels (``None``: its own length).

    The longer side is rounded down, as torchvision's ``Resize`` does it.
    """
    short = min(size)
    target = round((shorter_side or short) * scale)
    if target == short:
        return size
    long = int(target * max(size) / short)
    return (target, long) if size[0] <= size[1] else (long, target)


@dataclass(frozen=True)
class RandomCrop:
    """A square of ``crop`` pixels at (``left``, ``top``) of the picture resized to ``size``.

    Args:
        size: width and height after resizing.
        crop: side of the square.
        left: column of its left edge.
        top: row of its upper edge.
    """

    size: Size
    crop: int
    left: int
    top: int

    @classmethod
    def draw(cls, size: Size, crop: int, generator: np.random.Generator) -> RandomCrop:
        """Places the square anywhere in a picture of ``size``, all places alike."""
        width, height = size
        left = int(generator.integers(width - crop + 1))
        top = int(generator.integers(height - crop + 1))
        return cls(size, crop, left, top)

    def centre(self, margin: int = 0) -> tuple[float, float]:
        """The whole resized picture's centre, x and y in pixels of :meth:`cut`'s square; it may lie outside.

        Whole numbers are the centres of pixels.
        """
        width, height = self.size
        return (width - 1) / 2 - self.left + margin, (height - 1) / 2 - self.top + margin

    def cut(self, picture: Croppable, margin: int = 0) -> NDArray[np.uint8]:
        """Resizes (bicubic, antialiased, as Pillow does it) what the square needs, and nothing else.

        Pillow's filters read beyond the box where the picture goes on, so the result is the crop of the resized
        picture up to the rounding of an 8-bit level.

        Args:
            picture: RGB picture of any size.
            margin: pixels to keep around the square; where the picture ends, it is mirrored.

        Returns:
            uint8 [crop + 2 * margin, crop + 2 * margin, 3].
        """
        width, height = self.size
        left, top, right, bottom = (
            self.left - margin,
            self.top - margin,
            self.left + self.crop + margin,
            self.top + self.crop + margin,
        )
        beyond = max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0)
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        if picture.size == self.size:
            part = picture.crop((left, top, right, bottom))
        else:
            whole_width, whole_height = picture.size
            fx, fy = whole_width / width, whole_height / height
            box = (left * fx, top * fy, min(right * fx, whole_width), min(bottom * fy, whole_height))
            part = picture.resize((right - left, bottom - top), Image.Resampling.BICUBIC, box=box)
        square = np.asarray(part)
        return np.asarray(cv2.copyMakeBorder(square, *beyond, cv2.BORDER_REFLECT_101)) if any(beyond) else square
