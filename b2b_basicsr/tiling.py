"""Networks on pictures larger than memory allows: overlapping tiles, blended."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin so that they cover ``length``, the last one flush with the end."""
    if length <= tile:
        return [0]
    stride = tile - overlap
    return [*range(0, length - tile, stride), length - tile]


def _ramp(size: int, overlap: int, first: bool, last: bool, like: Tensor) -> Tensor:
    """Weights that fade in and out over the overlap, except at the picture's own borders."""
    weight = torch.ones(size, dtype=like.dtype, device=like.device)
    if overlap:
        fade = torch.arange(1, overlap + 1, dtype=like.dtype, device=like.device) / (overlap + 1)
        if not first:
            weight[:overlap] = fade
        if not last:
            weight[-overlap:] = torch.minimum(weight[-overlap:], fade.flip(0))
    return weight


def apply_tiled(
    function: Callable[[Tensor], tuple[Tensor, ...]], picture: Tensor, tile: int, overlap: int = 32
) -> tuple[Tensor, ...]:
    """Applies ``function`` to overlapping tiles and blends what it gives.

    Args:
        function: takes [n, c, h, w] and gives any number of tensors [n, c', h, w] of the same height and width.
        picture: [n, c, h, w].
        tile: side of a tile in pixels.
        overlap: pixels that neighbouring tiles share, less than ``tile``.

    Returns:
        What ``function`` would give for the whole picture, up to what it sees beyond a tile's edge.

    Raises:
        ValueError: if ``overlap`` is negative or not less than ``tile``.

    Example:
        >>> picture = torch.rand(1, 3, 50, 70)
        >>> torch.allclose(apply_tiled(lambda x: (2 * x,), picture, tile=32, overlap=8)[0], 2 * picture)
        True
    """
    if not 0 <= overlap < tile:
        raise ValueError(f'overlap is {overlap}; it must be at least 0 and less than the tile, {tile}')
    height, width = picture.shape[-2:]
    rows, columns = _starts(height, tile, overlap), _starts(width, tile, overlap)
    if len(rows) == len(columns) == 1:
        return function(picture)
    sums: list[Tensor] = []
    total = picture.new_zeros(1, 1, height, width)
    for top in rows:
        for left in columns:
            here = (..., slice(top, top + tile), slice(left, left + tile))
            results = function(picture[here])
            down = _ramp(results[0].shape[-2], overlap, top == rows[0], top == rows[-1], picture)
            right = _ramp(results[0].shape[-1], overlap, left == columns[0], left == columns[-1], picture)
            weight = down[:, None] * right
            if not sums:
                sums = [result.new_zeros(*result.shape[:-2], height, width) for result in results]
            for blended, result in zip(sums, results, strict=True):
                blended[here] += result * weight
            total[here] += weight
    return tuple(blended / total for blended in sums)
