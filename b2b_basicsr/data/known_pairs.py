"""Known pairs: pictures with known blur and their sharp twins."""

from __future__ import annotations

from typing import Any

from b2b_basicsr.data.picture_source import PictureSource, matched_pairs, refuse_unequal_twins
from b2b_basicsr.data.sample_key import SampleKey
from b2b_basicsr.data.training_crops import TrainingCrops, sample_part


class KnownPairs:
    """C' and D', matched by relative path without extension, at their native size.

    Args:
        blur: C'.
        sharp: D'.
        crops: draws the crops.

    Raises:
        UserError: if a picture has no twin.
    """

    def __init__(self, blur: PictureSource, sharp: PictureSource, crops: TrainingCrops) -> None:
        self._blur, self._sharp, self._crops = blur, sharp, crops
        self._pairs = matched_pairs(blur, sharp)

    def __len__(self) -> int:
        return len(self._pairs)

    def sample(self, key: SampleKey) -> dict[str, Any]:
        """A sample's part for one place in the training: a pair cropped, turned and coloured alike."""
        generator = key.generator('known')
        blur_index, sharp_index = self._pairs[int(generator.integers(len(self._pairs)))]
        blurred, clear = self._blur.open(blur_index), self._sharp.open(sharp_index)
        refuse_unequal_twins(self._blur, blur_index, blurred.size, clear.size)
        self._crops.refuse_small(self._blur, blur_index, blurred.size, native_size=True)
        place = self._crops.draw(blurred.size, generator, native_size=True)
        sample: dict[str, Any] = {}
        for name, source, index, picture in (
            ('known_blur', self._blur, blur_index, blurred),
            ('known_sharp', self._sharp, sharp_index, clear),
        ):
            crop = self._crops.coloured(place.cut(picture), key.generator('colours'))
            sample |= sample_part(name, crop, source.path(index))
        return sample

    def check_sizes(self, number: int) -> None:
        """Compares the sizes of one pair, from their headers.

        Raises:
            UserError: if they differ.
        """
        blur_index, sharp_index = self._pairs[number]
        refuse_unequal_twins(self._blur, blur_index, self._blur.size(blur_index), self._sharp.size(sharp_index))
