"""The pictures that are looked at, and the size of the tiles that fit into all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.data.random_crop import resized
from b2b_basicsr.errors import UserError
from b2b_basicsr.printable import printable

LARGEST_TILE = 128
"""Pixels: five times a blur of 25 pixels."""

SMALLEST_TILE = 32

_ALONG_A_SIDE = 2
"""Tiles, beside those that overlap them: a blur's effect is told from their mean."""

Item = TypeVar('Item')


def sampled(items: Sequence[Item], count: int, seed: int) -> list[Item]:
    """At most ``count`` of them, drawn by the seed, in their order."""
    if len(items) <= count:
        return [*items]
    places = np.random.default_rng(seed).choice(len(items), count, replace=False)
    return [items[place] for place in sorted(places)]


def tile_side(sets: Sequence[tuple[PictureSource, Sequence[int], int | None]]) -> int:
    """The side of a tile in pixels: :data:`LARGEST_TILE`, or half a smaller picture's side.

    Args:
        sets: pictures, the places of those looked at, and the shorter side they are resized to (``None``: their own).

    Raises:
        UserError: if a picture cannot be read, or has a side of less than two of :data:`SMALLEST_TILE`.
    """
    side = LARGEST_TILE
    for source, places, resize in sets:
        for place in places:
            shorter = min(resized(source.size(place), resize))
            if shorter < SMALLEST_TILE * _ALONG_A_SIDE:
                raise UserError(
                    f'{source.option_key}: {printable(source.path(place))} has a side of {shorter} pixels; '
                    f'{SMALLEST_TILE * _ALONG_A_SIDE} are needed, so take it out'
                )
            side = min(side, shorter // _ALONG_A_SIDE)
    return side // 2 * 2


def read_sampled(source: PictureSource, place: int, resize: int | None = None) -> NDArray[np.uint8]:
    """A picture, uint8 [h, w, 3], RGB.

    Raises:
        UserError: if it cannot be read.
    """
    return np.asarray(source.read_resized(place, resize))
