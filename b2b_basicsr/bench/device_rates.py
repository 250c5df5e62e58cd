"""How fast a device convolves and multiplies at best: what a step's time is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.nn import functional as F

from b2b_basicsr import half_precision

DTYPES = {'fp32': torch.float32, 'tf32': torch.float32, **half_precision.DTYPES}
_SECONDS_A_TURN = 0.3


def start_convolutions(device: str, precision: str, batch: int, crop: int, flops: float) -> Callable[[], float]:
    """The 3x3 convolutions that MIMO-UNet is made of, each alone and again and again.

    Those are of 32, 64 and 128 channels at full, half and quarter size; each size counts for a third, as there.

    Args:
        device: ``'cpu'`` or ``'cuda'``.
        precision: of :data:`DTYPES`.
        batch: pictures.
        crop: their side in pixels; a multiple of 4.
        flops: floating-point operations, two a multiply-add.

    Returns:
        A turn that gives the seconds that ``flops`` would take.
    """
    _allow_tf32(precision)
    computations: list[tuple[float, Callable[[], object]]] = []
    for level in range(3):
        channels, side = 32 << level, crop >> level
        shapes = ((batch, channels, side, side), (channels, channels, 3, 3))
        picture, weight = (
            torch.randn(shape, device=device).to(DTYPES[precision]).to(memory_format=torch.channels_last)
            for shape in shapes
        )
        count = 2.0 * 9 * channels**2 * side**2 * batch
        computations.append((count, _convolution(picture, weight)))

    def turn() -> float:
        return flops / 3 * sum(_seconds_of(compute, device) / count for count, compute in computations)

    return turn


def start_matrix_product(device: str, precision: str, flops: float) -> Callable[[], float]:
    """The product of two square matrices, which is taken for the device's peak; arguments as above."""
    _allow_tf32(precision)
    side = 8192 if device == 'cuda' else 2048
    one, other = (torch.randn(side, side, device=device).to(DTYPES[precision]) for _ in range(2))
    return lambda: flops * _seconds_of(lambda: one @ other, device) / (2.0 * side**3)


def _convolution(picture: torch.Tensor, weight: torch.Tensor) -> Callable[[], object]:
    return lambda: F.conv2d(picture, weight, padding=1)


def _allow_tf32(precision: str) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == 'tf32'
    torch.backends.cudnn.benchmark = True  # as BasicSR trains


@torch.no_grad()
def _seconds_of(compute: Callable[[], object], device: str) -> float:
    """Of one call, by so many that neither the clock nor the launch counts."""

    def timed(calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            compute()
        if device == 'cuda':
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / calls

    timed(3)
    return timed(max(1, round(_SECONDS_A_TURN / 3 / timed(3))))
