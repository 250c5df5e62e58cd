"""What a known set promises: how much detail is lost on the way from the target's blur over the known one to sharp.

All are mean squared errors of sRGB luminance, told as PSNR. Blur is taken as what it does to the amplitude of each
frequency and direction (the modulation transfer function, MTF, in [0, 1]); ``docs/ranking.md`` says why, and how well
the ranking agrees with what was measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from b2b_basicsr.rank_known.spectrum import Spectrum, energy


@dataclass(frozen=True)
class Target:
    """The target camera, without pairs.

    Args:
        mtf: of its blur, in [0, 1].
        sharp: the mean power spectrum of its sharp pictures: what there is to be lost.
    """

    mtf: Spectrum
    sharp: Spectrum


@dataclass(frozen=True)
class Known:
    """A known set.

    Args:
        mtf: of its blur, in [0, 1].
        lost: share of each frequency's power that a deblurrer does not bring back from the known blur, 0 or more.
        deblurred: amplitude at each frequency of the target's blurry pictures after its deblurrer, 1 being that of its
            own pictures after it (made by :func:`beside_own`); ``None``: there is no deblurrer to look at.
    """

    mtf: Spectrum
    lost: Spectrum
    deblurred: Spectrum | None = None


@dataclass(frozen=True)
class Expectation:
    """What is expected of a known set, in dB.

    Args:
        sharpen: PSNR if all that were wrong is what G would have to add: detail that the target's blur took away and
            the known blur leaves.
        lost: PSNR if all that were wrong is what the known blur took away for good.
        restored: with both.
        direct: of the target's blurry pictures put through the deblurrer without G; ``None``: there is no deblurrer.
    """

    sharpen: float
    lost: float
    restored: float
    direct: float | None

    @property
    def gain(self) -> float | None:
        """What G is worth: ``restored`` less ``direct``, if that is known."""
        return None if self.direct is None else self.restored - self.direct


def expectation(target: Target, known: Known) -> Expectation:
    """What to expect of a known set for a target camera.

    G can take detail away, which costs nothing; what it would have to add counts as missing. A deblurrer strengthens
    each frequency by as much as its own blur weakens it.
    """
    missing = error_of(np.minimum(target.mtf / np.maximum(known.mtf, 1e-6), 1))
    direct = None
    if known.deblurred is not None:
        direct = psnr(energy(target.sharp * _both(error_of(known.deblurred), known.lost)))
    return Expectation(
        sharpen=psnr(energy(target.sharp * missing)),
        lost=psnr(energy(target.sharp * known.lost)),
        restored=psnr(energy(target.sharp * _both(missing, known.lost))),
        direct=direct,
    )


def _both(wrong: Spectrum, lost: Spectrum) -> Spectrum:
    """Two errors as shares of the power, where what is wrong already cannot be lost again."""
    share: Spectrum = wrong + lost * (1 - np.minimum(wrong, 1))
    return share


def beside_own(amplitude: Spectrum, own: Spectrum) -> Spectrum:
    """What a deblurrer makes of other pictures, beside what it makes of its own.

    ``lost`` counts already how far its own are from sharp: pictures that come out like them, or nearer to sharp, have
    nothing wrong that G could mend.

    Args:
        amplitude: at each frequency of other pictures after it, 1 being that of sharp ones.
        own: the same of its own pictures.

    Returns:
        The amplitude, 1 being that of its own pictures, or whatever between that and sharp is nearest.

    Example:
        >>> beside_own(np.array([0.4, 0.8, 0.9, 1.5]), np.array([0.8, 0.8, 0.8, 0.8]))
        array([0.5, 1. , 1. , 1.5])
    """
    nearest = np.clip(amplitude, np.minimum(own, 1), np.maximum(own, 1))
    relative: Spectrum = amplitude / np.maximum(nearest, 1e-6)
    return relative


def error_of(amplitude: Spectrum) -> Spectrum:
    """The error, as a share of the power, where a set of pictures has ``amplitude`` (root mean square) instead of 1.

    It lies between (1 - a)^2, where all pictures are weakened alike, and 1 - a^2, where some keep all and others
    nothing. The middle of the two is 1 - a.
    """
    error: Spectrum = np.abs(1 - amplitude)
    return error


def psnr(error: float) -> float:
    """Of a mean squared error, in dB; at most 99: two sets may have the very same blur."""
    return min(-10 * math.log10(max(error, 1e-12)), 99.0)
