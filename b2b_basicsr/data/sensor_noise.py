"""How much noise the sensor adds to K: options that every maker of K shares."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from b2b_basicsr.options.section import OptionSection, Range, bounded


class NoiseLevels(NamedTuple):
    """Standard deviations at full light (shot noise) and in the dark (read noise), in units of full light."""

    shot: float
    read: float


class SensorNoise(OptionSection):
    """Ranges from which each sample draws its noise, evenly.

    Blur averages away the noise of a sharp picture, and a discriminator would otherwise tell K by its clean shades.
    """

    shot_noise: Annotated[Range, bounded(0, 0.1)] = (0.0, 0.0)
    """Noise that grows with light: its variance at full light, in units of full light squared, as a standard deviation
    (0.01 is a clean daylight picture)."""
    read_noise: Annotated[Range, bounded(0, 0.1)] = (0.0, 0.0)
    """Standard deviation of the noise in the dark, in units of full light."""

    def draw_noise(self, generator: np.random.Generator) -> NoiseLevels:
        """One draw from each range."""
        return NoiseLevels(generator.uniform(*self.shot_noise), generator.uniform(*self.read_noise))
