"""Crops of S with K made as the mean of the frames about them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from b2b_basicsr.data.frame_mean import FrameMean
from b2b_basicsr.data.sample_key import SampleKey
from b2b_basicsr.data.training_crops import OrientedCrop, TrainingCrops, sample_part
from b2b_basicsr.data.videos import Videos, middle_of


class AveragedCrops:
    """S, the middle frame of some, and K, their mean: resized, cropped, turned and coloured alike.

    Args:
        videos: S.
        frame_mean: how many frames are averaged, and the noise.
        crops: draws the crops.
    """

    def __init__(self, videos: Videos, frame_mean: FrameMean, crops: TrainingCrops) -> None:
        self._videos, self._frame_mean, self._crops = videos, frame_mean, crops

    def sample(self, key: SampleKey) -> dict[str, Any]:
        """A sample's part for one place in the training."""
        generator = key.generator('sharp')
        window = self._videos.draw_window(self._frame_mean.draw_count(generator), generator)
        source, index = self._videos.source, middle_of(window)
        middle = source.open(index)
        self._crops.refuse_small(source, index, middle.size)
        place = self._crops.draw(middle.size, generator, vary_scale=True)
        sharp = place.cut(middle)

        def frames() -> Iterator[NDArray[np.uint8]]:
            for frame in window:
                yield sharp if frame == index else self._cut_like(index, middle.size, frame, place)

        known = self._frame_mean.mean(frames(), key.generator('noise'))
        path = source.path(index)
        # The same colours for both: K is this very place, blurred.
        return sample_part('sharp', self._crops.coloured(sharp, key.generator('colours')), path) | sample_part(
            'known', self._crops.recolour(known, key.generator('colours')), path
        )

    def _cut_like(self, middle: int, size: tuple[int, int], frame: int, place: OrientedCrop) -> NDArray[np.uint8]:
        picture = self._videos.source.open(frame)
        self._videos.refuse_unequal(middle, size, frame, picture.size)
        return place.cut(picture)
