"""BasicSR's flips and turns of a training crop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to lay a picture, for any number of pictures and the points in them.

    Args:
        hflip: left and right change places; first.
        vflip: top and bottom change places.
        turn: rows become columns; last.
    """

    hflip: bool
    vflip: bool
    turn: bool

    @classmethod
    def draw(cls, use_hflip: bool, use_rot: bool, generator: np.random.Generator) -> Orientation:
        """Each step that the options allow is taken half of the time, as BasicSR's ``augment`` does it."""
        draws = generator.random(3) < 0.5
        return cls(use_hflip and bool(draws[0]), use_rot and bool(draws[1]), use_rot and bool(draws[2]))

    def apply(self, picture: NDArray[Any]) -> NDArray[Any]:
        """Lays a picture [h, w, c]; a view of it."""
        if self.hflip:
            picture = picture[:, ::-1]
        if self.vflip:
            picture = picture[::-1]
        return picture.transpose(1, 0, 2) if self.turn else picture

    def apply_to_point(self, point: tuple[float, float], size: tuple[int, int]) -> tuple[float, float]:
        """Where a point of a picture comes to lie.

        Args:
            point: x and y in pixels, whole numbers being the centres of pixels.
            size: width and height of the picture before it is laid.
        """
        x, y = point
        if self.hflip:
            x = size[0] - 1 - x
        if self.vflip:
            y = size[1] - 1 - y
        return (y, x) if self.turn else (x, y)
