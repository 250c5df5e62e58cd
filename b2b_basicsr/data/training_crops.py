"""Random crops for training, as the data set's options want them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from b2b_basicsr.data.crop_augmentation import CropAugmentation
from b2b_basicsr.data.orientation import Orientation
from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.data.random_crop import Croppable, RandomCrop, Size, resized
from b2b_basicsr.data.unpaired_blur_options import UnpairedBlurOptions
from b2b_basicsr.errors import UserError
from b2b_basicsr.printable import printable

Picture = NDArray[np.float32]


@dataclass(frozen=True)
class OrientedCrop:
    """A crop's place and the way it is laid, for any number of pictures of one size."""

    crop: RandomCrop
    orientation: Orientation

    def cut(self, picture: Croppable, margin: int = 0) -> NDArray[np.uint8]:
        """The crop with ``margin`` around it: uint8 [side, side, 3] with side = crop + 2 * margin; perhaps a view."""
        return self.orientation.apply(self.crop.cut(picture, margin))

    def centre(self, margin: int = 0) -> tuple[float, float]:
        """The whole picture's centre, x and y in pixels of :meth:`cut`'s square; it may lie outside."""
        side = self.crop.crop + 2 * margin
        return self.orientation.apply_to_point(self.crop.centre(margin), (side, side))


class TrainingCrops:
    """Draws places, orientations and colours of crops, and refuses pictures that are too small.

    Args:
        settings: the data set's.
    """

    def __init__(self, settings: UnpairedBlurOptions) -> None:
        self._settings = settings
        self._augmentation = settings.augment_opt or CropAugmentation()

    def draw(
        self, size: Size, generator: np.random.Generator, *, native_size: bool = False, vary_scale: bool = False
    ) -> OrientedCrop:
        """A crop of a picture of ``size``.

        Args:
            size: the picture's width and height.
            generator: source of scale, place and orientation.
            native_size: leaves out ``resize``.
            vary_scale: draws the scale from ``augment_opt``; for B and S.
        """
        settings = self._settings
        shorter = None if native_size else settings.resize
        base = resized(size, shorter)
        if vary_scale:
            scale = max(self._augmentation.draw_scale(generator), settings.gt_size / min(base))
            base = resized(size, shorter, scale)
        crop = RandomCrop.draw(base, settings.gt_size, generator)
        return OrientedCrop(crop, Orientation.draw(settings.use_hflip, settings.use_rot, generator))

    def recolour(self, crop: Picture, generator: np.random.Generator) -> Picture:
        """Varies a crop's colours by ``augment_opt``."""
        return self._augmentation.recolour(crop, generator)

    def coloured(self, levels: NDArray[np.uint8], generator: np.random.Generator) -> Picture:
        """A crop's values in [0, 1], their colours varied by ``augment_opt``.

        Args:
            levels: uint8 [h, w, 3]; may be a view.
            generator: source of the variation.

        Returns:
            float32 [h, w, 3] in [0, 1]; perhaps a view of [3, h, w].
        """
        if self._augmentation.keeps_colours:
            # Laid out as the tensor will be while a value still is one byte, not four.
            return as_floats(np.ascontiguousarray(levels.transpose(2, 0, 1))).transpose(1, 2, 0)
        # As the crop lies: the mean that contrast varies about hangs, in its last bit, on the order of the values.
        return self._augmentation.recolour(as_floats(levels), generator)

    def refuse_small(self, source: PictureSource, index: int, size: Size, *, native_size: bool = False) -> None:
        """Refuses a picture whose crop would leave it.

        Raises:
            UserError: naming it and its size.
        """
        wanted = self._settings.gt_size
        if min(resized(size, None if native_size else self._settings.resize)) < wanted:
            raise UserError(
                f'{source.option_key}: {printable(source.path(index))} measures {size[0]}x{size[1]}, smaller than the '
                f'crop, gt_size {wanted}; take it out, lower gt_size, or set resize'
            )

    def unpaired(
        self,
        name: str,
        source: PictureSource,
        generator: np.random.Generator,
        *,
        index: int | None = None,
        vary_scale: bool = False,
    ) -> dict[str, Any]:
        """A sample's part from one set alone, under ``name``; without ``index`` any picture of the set."""
        if index is None:
            index = int(generator.integers(len(source)))
        picture = source.open(index)
        self.refuse_small(source, index, picture.size)
        levels = self.draw(picture.size, generator, vary_scale=vary_scale).cut(picture)
        return sample_part(name, self.coloured(levels, generator), source.path(index))


def as_floats(levels: NDArray[np.uint8]) -> Picture:
    """Values in [0, 1] of 8-bit levels."""
    return np.divide(levels, np.float32(255), dtype=np.float32)


def as_tensor(picture: Picture) -> Tensor:
    """[h, w, 3] as [3, h, w]."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def sample_part(name: str, picture: Picture, path: str) -> dict[str, Any]:
    """A picture and where it came from, by the names they have in a sample."""
    return {name: as_tensor(picture), f'{name}_path': path}
