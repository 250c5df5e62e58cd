"""How large a tile may be, where the user leaves it open."""

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
_MEASURED = (128, 256)
_SHARE_OF_FREE_MEMORY = 0.8


def automatic_tile(run: Callable[[Tensor], object], device: torch.device) -> int:
    """The side of a tile for pictures that are not run whole.

    On CUDA the largest of 256, 512, 768, 1024, 1536 and 2048 whose peak memory is within 0.8 of what is free. The peak
    is taken as linear in the number of pixels, from the peaks of two small tiles. Elsewhere 512.

    Args:
        run: the networks, one after the other, on [1, 3, h, w] on ``device``.
        device: where they are.

    Raises:
        UserError: if not even the smallest fits.
    """
    if device.type != 'cuda':
        return TILE_ON_CPU
    small, large = (_peak(run, side, device) for side in _MEASURED)
    # The peak of a small tile also has what a convolution takes for itself whatever the size.
    of_a_pixel = max(large - small, large / 4) / (_MEASURED[1] ** 2 - _MEASURED[0] ** 2)
    torch.cuda.empty_cache()
    free = _SHARE_OF_FREE_MEMORY * torch.cuda.mem_get_info(device)[0]
    for side in _TILES_ON_CUDA:
        if large + of_a_pixel * (side**2 - _MEASURED[1] ** 2) <= free:
            return side
    raise UserError(
        f'tile: {free / 2**30:.1f} GiB of memory are free on {device}, too little for a tile of '
        f'{SMALLEST_AUTOMATIC_TILE} pixels; free some, or give a smaller tile yourself'
    )


def _peak(run: Callable[[Tensor], object], side: int, device: torch.device) -> int:
    """Bytes of the device's memory that a tile takes while it is run."""
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run(torch.zeros(1, 3, side, side, device=device))
    return torch.cuda.max_memory_allocated(device) - before
