"""Networks on pictures larger than memory allows: overlapping tiles, blended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

import torch
from torch import Tensor

ALIGNMENT = 32
"""Tiles begin at multiples of this many pixels, so that a network that halves its picture up to five times halves a
tile at the same places as the whole."""

DEFAULT_OVERLAP = 64
"""Pixels that neighbouring tiles share, where nothing else is asked for."""

_SHARE_OF_MARGIN = 0.25
"""Of what two tiles share, this much at the edge of each is left out: it is where they saw the least around them."""


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where the tiles along one side of a picture begin.

    They are multiples of :data:`ALIGNMENT`, and neighbours share at least ``overlap`` pixels. The last tile may be
    shorter than the others, by less than :data:`ALIGNMENT`.

    Args:
        length: of the side in pixels.
        tile: side of a tile in pixels; counts as the next lower multiple of :data:`ALIGNMENT`.
        overlap: in pixels.

    Raises:
        ValueError: if the tile is smaller than :data:`ALIGNMENT`, or ``overlap`` leaves no such step between tiles.

    Example:
        >>> tile_starts(1000, tile=512, overlap=64)
        [0, 448, 512]
        >>> tile_starts(500, tile=512, overlap=64)
        [0]
    """
    tile = _aligned(tile)
    if tile < ALIGNMENT:
        raise ValueError(f'the tile must be at least {ALIGNMENT} pixels')
    if not 0 <= overlap <= tile - ALIGNMENT:
        raise ValueError(
            f'overlap is {overlap}; it must be at least 0, and {ALIGNMENT} less than the tile, {tile}, at most'
        )
    if length <= tile:
        return [0]
    last = -(-(length - tile) // ALIGNMENT) * ALIGNMENT
    return [*range(0, last, _aligned(tile - overlap)), last]


def _aligned(pixels: int) -> int:
    return pixels // ALIGNMENT * ALIGNMENT


def _weights(length: int, tile: int, overlap: int) -> list[tuple[int, Tensor]]:
    """Where the tiles along one side begin, and how much each of their pixels counts; over all tiles that is 1."""
    starts = tile_starts(length, tile, overlap)
    tile = _aligned(tile)
    shared = tile - _aligned(tile - overlap)
    weights = []
    total = torch.zeros(length)
    for start in starts:
        size = min(tile, length - start)
        weight = torch.ones(size)
        if shared:
            margin = shared * _SHARE_OF_MARGIN
            rising = ((torch.arange(size) + 0.5 - margin) / (shared - 2 * margin)).clamp(0, 1)
            if start > 0:
                weight = rising
            if start + size < length:
                weight = torch.minimum(weight, rising.flip(0))
        weights.append((start, weight))
        total[start : start + size] += weight
    return [(start, weight / total[start : start + len(weight)]) for start, weight in weights]


def tiled_bands(
    function: Callable[[Tensor], tuple[Tensor, ...]],
    read_rows: Callable[[int, int], Tensor],
    height: int,
    width: int,
    tile: int,
    overlap: int = DEFAULT_OVERLAP,
    batch: int = 1,
) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
    """Applies ``function`` to overlapping tiles, blends what it gives, and hands it out from the top down.

    Only a band of the picture, as high as a tile, is held at any time. In the middle half of what two tiles share, the
    one fades into the other; the outer quarters, which a tile saw the edge of, are left to its neighbour.

    Args:
        function: takes [n, c, h, w] and gives any number of tensors [n, c', h, w] of the same height and width.
        read_rows: gives the picture's rows from the first to before the second argument, [n, c, rows, width].
        height: of the picture in pixels.
        width: of the picture in pixels.
        tile: side of a tile in pixels; counts as the next lower multiple of :data:`ALIGNMENT`.
        overlap: pixels that neighbouring tiles share, or a few more.
        batch: how many tiles of a row ``function`` is given at once, at most, one after the other in its n. They are
            blended in the same order, so the result differs only where ``function`` rounds otherwise for more of them.

    Yields:
        The first row of a band, and what ``function`` makes of the band, each [n, c', rows, width]. The bands follow
        one another without gaps.

    Raises:
        ValueError: if ``overlap`` is negative or does not leave :data:`ALIGNMENT` pixels of the tile, or ``batch`` is
            below 1.

    Example:
        >>> picture = torch.rand(1, 3, 100, 70)
        >>> bands = tiled_bands(lambda x: (2 * x,), lambda top, end: picture[..., top:end, :], 100, 70, 64, 16)
        >>> torch.allclose(torch.cat([doubled for _, (doubled,) in bands], dim=-2), 2 * picture)
        True
    """
    if batch < 1:
        raise ValueError(f'batch is {batch}; it must be at least 1')
    down, right = _weights(height, tile, overlap), _weights(width, tile, overlap)
    pending: list[Tensor] = []  # what the rows so far have added to rows that are not finished
    for place, (top, row_weight) in enumerate(down):
        finished, pending = _finished_rows(
            _row_of_tiles(function, read_rows(top, top + len(row_weight)), row_weight, right, batch),
            pending,
            (down[place + 1][0] if place + 1 < len(down) else height) - top,
        )
        yield top, finished
        del finished  # else the next band would be made beside it


def _row_of_tiles(
    function: Callable[[Tensor], tuple[Tensor, ...]],
    rows: Tensor,
    row_weight: Tensor,
    columns: list[tuple[int, Tensor]],
    batch: int,
) -> list[Tensor]:
    """What the tiles of one row add up to, each [n, c', rows, width]."""
    band: list[Tensor] = []
    for group in _groups(columns, batch):
        # each group's results go before the next group's are made
        for (left, column_weight), results in zip(group, _applied_together(function, rows, group), strict=True):
            if not band:
                band = [one.new_zeros(*one.shape[:-1], rows.shape[-1], dtype=torch.float32) for one in results]
            weight = (row_weight[:, None] * column_weight).to(results[0].device)
            for blended, one in zip(band, results, strict=True):
                blended[..., left : left + len(column_weight)] += one * weight
    return band


def _groups(columns: list[tuple[int, Tensor]], batch: int) -> Iterator[list[tuple[int, Tensor]]]:
    """Neighbouring tiles of one width, ``batch`` at most."""
    for _, alike in groupby(columns, key=lambda column: len(column[1])):
        tiles = list(alike)
        for start in range(0, len(tiles), batch):
            yield tiles[start : start + batch]


def _applied_together(
    function: Callable[[Tensor], tuple[Tensor, ...]], rows: Tensor, group: list[tuple[int, Tensor]]
) -> list[tuple[Tensor, ...]]:
    """What ``function`` makes of each tile of a group."""
    parts = [rows[..., left : left + len(weight)] for left, weight in group]
    if len(parts) == 1:
        return [function(parts[0])]
    results = function(torch.cat(parts))
    return list(zip(*(one.split(len(rows)) for one in results), strict=True))


def _finished_rows(band: list[Tensor], pending: list[Tensor], count: int) -> tuple[tuple[Tensor, ...], list[Tensor]]:
    """The first ``count`` rows of a band, with what the bands before it have added to them; and the others."""
    for blended, before in zip(band, pending, strict=bool(pending)):
        blended[..., : before.shape[-2], :] += before
    # Copies of the others, so that the finished ones may go while they stay.
    return tuple(one[..., :count, :] for one in band), [one[..., count:, :].clone() for one in band]


def apply_tiled(
    function: Callable[[Tensor], tuple[Tensor, ...]],
    picture: Tensor,
    tile: int,
    overlap: int = DEFAULT_OVERLAP,
) -> tuple[Tensor, ...]:
    """Applies ``function`` to overlapping tiles and blends what it gives; see :func:`tiled_bands`.

    Args:
        function: takes [n, c, h, w] and gives any number of tensors [n, c', h, w] of the same height and width.
        picture: [n, c, h, w].
        tile: side of a tile in pixels; counts as the next lower multiple of :data:`ALIGNMENT`. A picture that fits into
            one is given to ``function`` whole.
        overlap: pixels that neighbouring tiles share, or a few more.

    Returns:
        What ``function`` would give for the whole picture, up to what it sees beyond a tile's edge.

    Raises:
        ValueError: if ``overlap`` is negative or does not leave :data:`ALIGNMENT` pixels of the tile.

    Example:
        >>> picture = torch.rand(1, 3, 50, 70)
        >>> torch.allclose(apply_tiled(lambda x: (2 * x,), picture, tile=64, overlap=16)[0], 2 * picture)
        True
    """
    height, width = picture.shape[-2:]
    if len(tile_starts(height, tile, overlap)) == len(tile_starts(width, tile, overlap)) == 1:
        return function(picture)
    bands = tiled_bands(function, lambda top, end: picture[..., top:end, :], height, width, tile, overlap)
    parts = [results for _, results in bands]
    return tuple(torch.cat(column, dim=-2) for column in zip(*parts, strict=True))
