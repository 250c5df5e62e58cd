"""How fast a device convolves and multiplies at best: what a step's time is compared with."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.nn import functional as F

DTYPES = {'fp32': torch.float32, 'tf32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
_REPEATS = 7


def convolution_rate(device: str, precision: str, batch: int, crop: int) -> float:
    """Operations a second of the 3x3 convolutions that MIMO-UNet is made of, alone and one after the other.

    Args:
        device: ``'cpu'`` or ``'cuda'``.
        precision: of :data:`DTYPES`.
        batch: pictures.
        crop: their side in pixels; a multiple of 4.

    Returns:
        Floating-point operations a second, two a multiply-add: the total of 32, 64 and 128 channels at full, half and
        quarter size, by the median time of each.
    """
    flops = seconds = 0.0
    with _allowing_tf32(precision == 'tf32'):
        for level in range(3):
            channels, side = 32 << level, crop >> level
            picture = torch.randn(batch, channels, side, side, device=device, dtype=DTYPES[precision])
            picture = picture.to(memory_format=torch.channels_last)
            weight = torch.randn(channels, channels, 3, 3, device=device, dtype=DTYPES[precision])
            weight = weight.to(memory_format=torch.channels_last)
            flops += 2 * 9 * channels**2 * side**2 * batch
            seconds += _median_seconds(lambda x=picture, w=weight: F.conv2d(x, w, padding=1), device)  # type: ignore[misc]
    return flops / seconds


def matmul_rate(device: str, precision: str, side: int) -> float:
    """Operations a second of a product of two square matrices, which is taken for the device's peak.

    Args:
        device: ``'cpu'`` or ``'cuda'``.
        precision: of :data:`DTYPES`.
        side: of the matrices.
    """
    one, other = (torch.randn(side, side, device=device, dtype=DTYPES[precision]) for _ in range(2))
    with _allowing_tf32(precision == 'tf32'):
        return 2 * side**3 / _median_seconds(lambda: one @ other, device)


def rates(device: str, precisions: Sequence[str], batch: int, crop: int) -> dict[str, tuple[float, float]]:
    """Precision -> (:func:`convolution_rate`, :func:`matmul_rate`)."""
    side = 8192 if device == 'cuda' else 2048
    return {
        precision: (convolution_rate(device, precision, batch, crop), matmul_rate(device, precision, side))
        for precision in dict.fromkeys(precisions)
    }


@torch.no_grad()
def _median_seconds(compute: Callable[[], object], device: str) -> float:
    """Of one call, each timed over enough calls that the clock and the launch do not count."""

    def timed(calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            compute()
        if device == 'cuda':
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / calls

    timed(3)
    calls = max(1, round(0.02 / timed(3)))
    return statistics.median(timed(calls) for _ in range(_REPEATS))


@contextmanager
def _allowing_tf32(allowed: bool) -> Iterator[None]:
    kept = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = kept
