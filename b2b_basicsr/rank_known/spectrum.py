"""Power spectra of pictures: how much of each frequency and direction there is in them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Spectrum = NDArray[np.float64]
"""Of tiles of n pixels: float64 [n, n // 2 + 1], as :func:`numpy.fft.rfft2` orders frequencies."""

_COARSE = 3.5
"""Cycles a tile up to which structure counts as coarse: blur takes little of it away."""

_LEAST_CONTRAST = 0.1
"""Share of the median that a picture's contrast counts as at least."""

_MOST_STARTS = 12
"""Tiles along each side of a picture: more of them tell little that is new, and a photograph has thousands."""


def luminance(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Luminance, of sRGB values as PSNR is, in [0, 1] of uint8 [h, w, 3]: float32 [h, w]."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), dtype=np.float32) / np.float32(255)


def frequencies(tile: int) -> tuple[Spectrum, Spectrum]:
    """Each place of a spectrum: its frequency in cycles a pixel, and its direction.

    Args:
        tile: side in pixels.

    Returns:
        Frequencies, and directions in degrees in [0, 180): 0 is detail that changes along the rows, which horizontal
        motion blurs, 90 along the columns.
    """
    down, right = np.fft.fftfreq(tile)[:, None], np.fft.rfftfreq(tile)[None]
    return np.hypot(down, right), np.degrees(np.arctan2(-down, right)) % 180


def tile_transforms(grey: NDArray[np.float32], tile: int) -> NDArray[np.complex128]:
    """The Fourier transforms of a picture's tiles, spread evenly over it, each less its mean and under a Hann window.

    Args:
        grey: float32 [h, w], no side shorter than ``tile``.
        tile: side of a tile in pixels, even.

    Returns:
        Complex [tiles, tile, tile // 2 + 1].
    """
    window = np.outer(*[np.hanning(tile + 1)[:-1]] * 2)
    window /= np.sqrt((window**2).sum()) * tile
    tops, lefts = (_starts(side, tile) for side in grey.shape)
    parts = np.stack([grey[top : top + tile, left : left + tile] for top in tops for left in lefts]).astype(np.float64)
    return np.fft.rfft2((parts - parts.mean(axis=(1, 2), keepdims=True)) * window)


def power_spectrum(grey: NDArray[np.float32], tile: int) -> Spectrum:
    """The mean power spectrum of a picture's tiles: of their :func:`tile_transforms`.

    Returns:
        Power at each frequency; its :func:`energy` is the mean square of a pixel's difference from the tile's mean.

    Example:
        >>> noise = np.random.default_rng(0).normal(0, 0.1, (256, 256)).astype(np.float32)
        >>> round(energy(power_spectrum(noise, 64)), 3)
        0.01
    """
    power: Spectrum = (np.abs(tile_transforms(grey, tile)) ** 2).mean(axis=0)
    return power


def _starts(side: int, tile: int) -> list[int]:
    """Of tiles that overlap by half, or less where the picture is large."""
    count = min(-(-(side - tile) * 2 // tile) + 1, _MOST_STARTS)
    return [int(start) for start in np.linspace(0, side - tile, count).round()]


def energy(spectrum: Spectrum) -> float:
    """The sum over all frequencies, those counted twice that a real picture's spectrum leaves out."""
    return float(2 * spectrum.sum() - spectrum[:, 0].sum() - spectrum[:, -1].sum())


def mean_of_equal_contrast(spectra: Sequence[Spectrum]) -> Spectrum:
    """The mean of pictures' spectra, each divided by the picture's contrast in its coarse structure.

    So a few pictures of high contrast do not outweigh the others, and two sets of different scenes can be compared. Nor
    do those of nearly none: noise, all that is in them, is not made more than ten times as strong as in the others.

    Args:
        spectra: of pictures, made by :func:`power_spectrum`.
    """
    tile = spectra[0].shape[0]
    frequency, _ = frequencies(tile)
    coarse = (frequency > 0) & (frequency * tile <= _COARSE)
    contrasts = [float(one[coarse].mean()) for one in spectra]
    least = max(_LEAST_CONTRAST * float(np.median(contrasts)), 1e-12)
    whole: Spectrum = np.mean(
        [one / max(contrast, least) for one, contrast in zip(spectra, contrasts, strict=True)], axis=0
    )
    return whole
