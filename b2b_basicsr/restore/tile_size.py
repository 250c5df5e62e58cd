"""How large a tile may be, and how many are run at once, where the user leaves it open."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from b2b_basicsr.errors import UserError

WHOLE_ON_CPU = 1 << 20
"""Pictures of up to this many pixels (1280 x 736, say) are run whole where there is no CUDA."""

TILE_ON_CPU = 512

_TILES_ON_CUDA = (2048, 1536, 1024, 768, 512, 256)
SMALLEST_AUTOMATIC_TILE = _TILES_ON_CUDA[-1]
_ENOUGH_PIXELS = _TILES_ON_CUDA[0] ** 2
"""A GPU is busy with so many; more at once take memory and win nothing."""

_MEASURED = (128, 256)
_SHARE_OF_FREE_MEMORY = 0.8


def pixels_that_fit(run: Callable[[Tensor], object], device: torch.device) -> int:
    """How many pixels networks on CUDA can take at once: as many as have a peak within 0.8 of the memory that is free.

    The peak is taken as linear in the number of pixels, from the peaks of two small tiles.

    Args:
        run: the networks, one after the other, on [1, 3, h, w] on ``device``.
        device: where they are.
    """
    small, large = (_peak(run, side, device) for side in _MEASURED)
    # The peak of a small tile also has what a convolution takes for itself whatever the size.
    of_a_pixel = max(large - small, large / 4) / (_MEASURED[1] ** 2 - _MEASURED[0] ** 2)
    torch.cuda.empty_cache()
    free = _SHARE_OF_FREE_MEMORY * torch.cuda.mem_get_info(device)[0]
    return int(_MEASURED[1] ** 2 + (free - large) / of_a_pixel)


def automatic_tile(pixels: int, device: torch.device) -> int:
    """The largest of 256, 512, 768, 1024, 1536 and 2048 that a tile of so many pixels may have as its side.

    Args:
        pixels: that fit, by :func:`pixels_that_fit`.
        device: for the message.

    Raises:
        UserError: if not even the smallest fits.
    """
    for side in _TILES_ON_CUDA:
        if side**2 <= pixels:
            return side
    raise UserError(
        f'tile: too little memory is free on {device} for a tile of {SMALLEST_AUTOMATIC_TILE} pixels; free some, or '
        'give a smaller tile yourself'
    )


def automatic_batch(pixels: int, height: int, width: int) -> int:
    """How many tiles or frames of a size are run at once on CUDA: as many as fit, up to 2048 x 2048 pixels; 1 at least.

    Args:
        pixels: that fit, by :func:`pixels_that_fit`.
        height: of a tile or frame in pixels.
        width: likewise.
    """
    return max(1, min(pixels, _ENOUGH_PIXELS) // (height * width))


def _peak(run: Callable[[Tensor], object], side: int, device: torch.device) -> int:
    """Bytes of the device's memory that a tile takes while it is run."""
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run(torch.zeros(1, 3, side, side, device=device))
    return torch.cuda.max_memory_allocated(device) - before
