"""How a camera's pictures look, blur aside: noise, tone curve, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from b2b_basicsr.data.linear_light import as_levels, encode_srgb, with_sensor_noise

Light = NDArray[np.float32]
Levels = NDArray[np.uint8]


@dataclass(frozen=True)
class CameraLook:
    """A camera's way from linear light to a file.

    Args:
        shot_noise: standard deviation at full light of the noise whose variance grows with light, in units of full
            light.
        read_noise: standard deviation in the dark, in units of full light.
        contrast: of the tone curve, from -1 (flatter) over 0 (sRGB) to 1 (steep in the middle, flat at both ends).
        jpeg_quality: of the camera's files, 1 to 100.
    """

    shot_noise: float
    read_noise: float
    contrast: float
    jpeg_quality: int

    def taken(self, light: Light, generator: np.random.Generator) -> Levels:
        """What the camera makes of the light on its sensor: noise, tone curve, 8 bits (JPEG comes with the file).

        Args:
            light: float32 [h, w, 3]; 1 is full light, above which the sensor clips.
            generator: source of the noise.
        """
        return self.without_noise(with_sensor_noise(light, generator, self.shot_noise, self.read_noise))

    def without_noise(self, light: Light) -> Levels:
        """The same of an ideal sensor: the ground truth."""
        value = encode_srgb(light)
        return as_levels(np.clip(value - self.contrast / (2 * np.pi) * np.sin(2 * np.pi * value), 0, 1))
