"""Padding that continues a picture by its mirror image, however small the picture is."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def pad_reflect(x: torch.Tensor, left: int, right: int, top: int, bottom: int) -> torch.Tensor:
    """Pad by reflection, or by replication along a side that is too short for it.

    Reflection does not repeat the edge pixel, so a side of ``n`` pixels can be continued by ``n - 1`` at most.

    Args:
        x: ``[n, c, h, w]``.
        left: Pixels to add at the left, >= 0.
        right: Pixels to add at the right, >= 0.
        top: Pixels to add at the top, >= 0.
        bottom: Pixels to add at the bottom, >= 0.

    Returns:
        ``[n, c, top + h + bottom, left + w + right]``, or ``x`` itself where nothing is to add.
    """
    height, width = x.shape[-2:]
    if left or right:
        x = F.pad(x, (left, right, 0, 0), mode='reflect' if max(left, right) < width else 'replicate')
    if top or bottom:
        x = F.pad(x, (0, 0, top, bottom), mode='reflect' if max(top, bottom) < height else 'replicate')
    return x


def pad_to_multiple(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """Pad at the right and the bottom, as :func:`pad_reflect` does, until both sides are multiples of ``multiple``."""
    height, width = x.shape[-2:]
    return pad_reflect(x, 0, -width % multiple, 0, -height % multiple)
