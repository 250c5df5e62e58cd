"""Crops of S with K made from them by camera shake."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from b2b_basicsr.data.camera_shake import CameraShake
from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.data.sample_key import SampleKey
from b2b_basicsr.data.training_crops import TrainingCrops, as_tensor, sample_part


class ShakenCrops:
    """S and K, or S and what the model makes K of (``synth_known_opt: on_device``).

    Args:
        sharp: S.
        shake: the blur.
        crops: draws the crops.
    """

    def __init__(self, sharp: PictureSource, shake: CameraShake, crops: TrainingCrops) -> None:
        self._sharp, self._shake, self._crops = sharp, shake, crops

    def sample(self, key: SampleKey) -> dict[str, Any]:
        """A sample's part for one place in the training."""
        generator = key.generator('sharp')
        index = int(generator.integers(len(self._sharp)))
        picture = self._sharp.open(index)
        self._crops.refuse_small(self._sharp, index, picture.size)
        place = self._crops.draw(picture.size, generator, vary_scale=True)
        margin, path = self._shake.margin, self._sharp.path(index)
        inside = np.s_[margin:-margin, margin:-margin]
        wide, centre = np.ascontiguousarray(place.cut(picture, margin)), place.centre(margin)
        if self._shake.on_device:
            # Coloured with its margin, so that the sharp crop is the very middle of what is blurred.
            base = self._crops.coloured(wide, key.generator('colours'))
            return sample_part('sharp', base[inside], path) | {
                'known_base': as_tensor(base),
                'known_seed': torch.tensor(key.drawn_seed('shake'), dtype=torch.int64),
                'known_centre': torch.tensor(centre, dtype=torch.float32),
            }
        known = self._shake.blur(wide, key.generator('shake'), centre, margin)
        # The same colours for both: K is this very crop, blurred.
        return sample_part('sharp', self._crops.coloured(wide[inside], key.generator('colours')), path) | sample_part(
            'known', self._crops.recolour(known, key.generator('colours')), path
        )
