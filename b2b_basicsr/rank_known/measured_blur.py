"""What a target camera's and a known set's pictures tell of their blur."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from b2b_basicsr.data.picture_source import PictureSource, refuse_unequal_twins
from b2b_basicsr.rank_known.candidate import Candidate
from b2b_basicsr.rank_known.deblurrers import Deblur
from b2b_basicsr.rank_known.expected import Known, Target
from b2b_basicsr.rank_known.sample import read_sampled, sampled
from b2b_basicsr.rank_known.spectrum import Spectrum, luminance, mean_of_equal_contrast, power_spectrum, tile_transforms

Step = Callable[[], object]
"""Called when a picture is done."""

Pair = tuple[int, int]

_LEAST = 1e-12


class MeasuredTarget:
    """A target camera's blurry pictures, and sharp ones of other scenes.

    Args:
        blur: B.
        sharp: S.
        resize: shorter side that both are resized to, as in training; ``None``: they stay as they are.
        tile: side of the spectra's tiles in pixels.
    """

    def __init__(self, blur: PictureSource, sharp: PictureSource, resize: int | None, tile: int) -> None:
        self._blur = blur
        self._sharp = sharp
        self._resize = resize
        self._tile = tile
        self._sharp_of_equal_contrast: Spectrum = np.ones(0)

    def measure(self, blur_places: Sequence[int], sharp_places: Sequence[int], step: Step) -> Target:
        """Compares the spectra of the two sets.

        Raises:
            UserError: if a picture cannot be read.
        """
        sharp = self._spectra(self._sharp, sharp_places, step)
        self._sharp_of_equal_contrast = mean_of_equal_contrast(sharp)
        return Target(
            mtf=np.minimum(self.against_sharp(self._spectra(self._blur, blur_places, step)), 1),
            sharp=np.mean(sharp, axis=0),
        )

    def against_sharp(self, spectra: Sequence[Spectrum]) -> Spectrum:
        """The amplitude at each frequency of other pictures, 1 being that of this camera's sharp ones."""
        ratio = mean_of_equal_contrast(spectra) / np.maximum(self._sharp_of_equal_contrast, _LEAST)
        amplitude: Spectrum = np.sqrt(ratio)
        return amplitude

    def deblurred(self, places: Sequence[int], deblur: Deblur, step: Step) -> Spectrum:
        """:meth:`against_sharp` of the blurry pictures, each put through a deblurrer."""
        return self.against_sharp(self._spectra(self._blur, places, step, deblur))

    def _spectra(
        self, source: PictureSource, places: Sequence[int], step: Step, change: Deblur | None = None
    ) -> list[Spectrum]:
        pictures = (read_sampled(source, place, self._resize) for place in places)
        changed = pictures if change is None else (change(picture) for picture in pictures)
        return list(_each_spectrum(changed, self._tile, step))


def _each_spectrum(pictures: Iterable[NDArray[np.uint8]], tile: int, step: Step) -> Iterable[Spectrum]:
    for picture in pictures:
        yield power_spectrum(luminance(picture), tile)
        step()


class MeasuredKnown:
    """A candidate's pairs.

    Args:
        candidate: the known set.
        pairs: places of the blurry pictures that are looked at, and of their twins.
        tile: side of the spectra's tiles in pixels.
    """

    def __init__(self, candidate: Candidate, pairs: Sequence[Pair], tile: int) -> None:
        self._candidate = candidate
        self._pairs = pairs
        self._tile = tile

    def measure(self, step: Step) -> Known:
        """Measures the blur, and what linear filters do not bring back from it.

        What is lost lies, for each frequency, half-way (in dB) between two bounds, both told by the coherence of
        pictures and twins: one filter for the whole set, which is what a deblurrer can do that does not see how a
        picture is blurred, and the best filter for each picture.

        Raises:
            UserError: if a picture cannot be read, or twins differ in size.
        """
        blurry, clear, lost_each = (np.zeros((self._tile, self._tile // 2 + 1)) for _ in range(3))
        both = np.zeros_like(blurry, dtype=np.complex128)
        for place, twin in self._pairs:
            ours, theirs = (tile_transforms(luminance(part), self._tile) for part in self._pair(place, twin))
            own_blurry, own_clear = ((np.abs(part) ** 2).mean(axis=0) for part in (ours, theirs))
            own_both = (theirs * ours.conj()).mean(axis=0)
            # A filter that is fitted to so many tiles leaves that much less of them than of others.
            lost_each += _unexplained(own_blurry, own_clear, own_both) * len(ours) / (len(ours) - 1)
            blurry += own_blurry
            clear += own_clear
            both += own_both
            step()
        clear = np.maximum(clear, _LEAST)
        lost_all = _unexplained(blurry, clear, both)
        lost = np.minimum(np.sqrt(lost_all * lost_each) / clear, 1)
        return Known(mtf=np.sqrt(np.minimum(blurry / clear, 1)), lost=lost)

    def deblurred(self, deblur: Deblur, most: int, seed: int, step: Step) -> tuple[Spectrum, Spectrum]:
        """What a deblurrer makes of its own pictures.

        Args:
            deblur: the candidate's deblurrer.
            most: pairs that are looked at.
            seed: of their choice.
            step: called for each.

        Returns:
            At each frequency the error it leaves, as a share of the twins' power (more than 1 where it adds what was
            never there), and the amplitude of its results, 1 being that of the twins.

        Raises:
            UserError: if a picture cannot be read, or twins differ in size.
        """
        error, left, power = (np.zeros((self._tile, self._tile // 2 + 1)) for _ in range(3))
        for place, twin in sampled(self._pairs, most, seed):
            picture, clear = self._pair(place, twin)
            ours, theirs = luminance(deblur(picture)), luminance(clear)
            error += power_spectrum(ours - theirs, self._tile)
            left += power_spectrum(ours, self._tile)
            power += power_spectrum(theirs, self._tile)
            step()
        power = np.maximum(power, _LEAST)
        return error / power, np.sqrt(left / power)

    def _pair(self, place: int, twin: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        picture = read_sampled(self._candidate.blur, place)
        clear = read_sampled(self._candidate.sharp, twin)
        size = (picture.shape[1], picture.shape[0])
        refuse_unequal_twins(self._candidate.blur, place, size, (clear.shape[1], clear.shape[0]))
        return picture, clear


def _unexplained(blurry: Spectrum, clear: Spectrum, both: NDArray[np.complex128]) -> Spectrum:
    """Power of ``clear`` that no linear filter makes of ``blurry``, by their cross-spectrum."""
    rest: Spectrum = np.maximum(clear - np.abs(both) ** 2 / np.maximum(blurry, _LEAST), 0)
    return rest
