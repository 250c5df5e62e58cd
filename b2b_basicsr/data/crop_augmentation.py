"""The few-pictures care of the data: crops varied so that the discriminator cannot learn the scenes."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from b2b_basicsr.options.section import Flag, OptionSection, Range, bounded

Factors = Annotated[Range, bounded(0.1, 10)]


class CropAugmentation(OptionSection):
    """Varies a crop's scale and colours: option ``augment_opt``, off by default.

    With a handful of pictures the discriminator soon knows them by their colours and textures, its loss goes to zero
    and it says nothing about blur. Varied crops leave blur as what tells the sets apart. Every set is varied in the
    same way. The blur of ready-made known pictures and of known pairs is never scaled, since the deblurrer knows it at
    one width; K made by ``synth_known_opt`` is scaled before it is blurred, for the same reason.

    Raises:
        pydantic.ValidationError: if a range falls or leaves [0.1, 10] (``from_options``: ``UserError``).
    """

    scale: Factors = (1.0, 1.0)
    """Range of the factor by which B and S are enlarged before the crop, drawn evenly in its logarithm."""
    gamma: Factors = (1.0, 1.0)
    """Range of the exponent applied to values in [0, 1], drawn evenly in its logarithm."""
    contrast: Factors = (1.0, 1.0)
    """Range of the factor about the crop's mean, drawn evenly in its logarithm."""
    channel_shuffle: Flag = False
    """Red, green and blue in random order."""

    @property
    def keeps_colours(self) -> bool:
        """Whether :meth:`recolour` leaves every crop as it is."""
        return not self.channel_shuffle and all(bound == 1 for bound in (*self.gamma, *self.contrast))

    def draw_scale(self, generator: np.random.Generator) -> float:
        """A factor from ``scale``."""
        return _draw(self.scale, generator)

    def recolour(self, crop: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
        """Varies gamma, contrast and channel order.

        Args:
            crop: float32 [h, w, 3] in [0, 1].
            generator: source of the factors.

        Returns:
            float32 [h, w, 3] in [0, 1].
        """
        gamma, contrast = _draw(self.gamma, generator), _draw(self.contrast, generator)
        if self.channel_shuffle:
            crop = crop[..., generator.permutation(3)]
        if gamma != 1:
            crop = np.power(crop, np.float32(gamma))
        if contrast != 1:
            mean = crop.mean(dtype=np.float32)
            crop = np.clip(mean + np.float32(contrast) * (crop - mean), 0, 1)
        return crop


def _draw(bounds: tuple[float, float], generator: np.random.Generator) -> float:
    return float(np.exp(generator.uniform(*np.log(bounds))))
