"""Blur as a sensor sees it: in linear light, with sensor noise."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray


@cache
def _light_of_levels() -> NDArray[np.float32]:
    """Linear light in [0, 1] for each of the 256 levels of sRGB (IEC 61966-2-1)."""
    levels = np.arange(256) / 255
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4).astype(np.float32)


def light_of_levels(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The linear light in [0, 1] of a picture's sRGB levels, float32 of the same shape."""
    return _light_of_levels()[picture]


def encode_srgb(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sRGB values in [0, 1] of linear light, which is clipped to [0, 1] first."""
    light = np.clip(light, 0, 1)
    encoded: NDArray[np.float32] = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return encoded


def as_levels(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The nearest of 256 levels for values in [0, 1]."""
    return np.round(picture * 255).astype(np.uint8)


def convolve(light: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convolves [h, w, 3] with one kernel [k, k], k odd; beyond its borders the picture is mirrored."""
    # filter2D correlates; flipping both axes makes it a convolution.
    flipped = np.ascontiguousarray(kernel[::-1, ::-1])
    return np.asarray(cv2.filter2D(light, -1, flipped, borderType=cv2.BORDER_REFLECT_101), dtype=np.float32)


def with_sensor_noise(
    light: NDArray[np.float32], generator: np.random.Generator, shot_noise: float, read_noise: float
) -> NDArray[np.float32]:
    """Adds what a sensor adds; nothing is drawn where both deviations are 0.

    Args:
        light: linear light, float32 of any shape, full light being 1.
        generator: source of the noise.
        shot_noise: standard deviation at full light of the noise whose variance grows with light, in units of full
            light.
        read_noise: standard deviation in the dark, in units of full light.
    """
    if shot_noise > 0 or read_noise > 0:
        deviation = np.sqrt(shot_noise**2 * np.clip(light, 0, 1) + read_noise**2)
        light = light + deviation * generator.standard_normal(light.shape, dtype=np.float32)
    return light


def blur_in_linear_light(
    sharp: NDArray[np.uint8],
    kernel: NDArray[np.float32],
    generator: np.random.Generator,
    shot_noise: float = 0.0,
    read_noise: float = 0.0,
) -> NDArray[np.float32]:
    """Convolves a picture in linear light and adds sensor noise there, see :func:`with_sensor_noise`.

    Args:
        sharp: uint8 [h, w, 3], sRGB. Beyond its borders it is mirrored.
        kernel: float32 [k, k] with k odd, summing to 1.
        generator: source of the noise.
        shot_noise: standard deviation at full light.
        read_noise: standard deviation in the dark.

    Returns:
        float32 [h, w, 3] in [0, 1], sRGB.
    """
    light = convolve(light_of_levels(sharp), kernel)
    return encode_srgb(with_sensor_noise(light, generator, shot_noise, read_noise))
