"""Known blur made from sharp pictures: a parametric camera shake."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from b2b_basicsr.data.linear_light import blur_in_linear_light
from b2b_basicsr.options.section import OptionSection, Range, bounded

_STEPS_PER_PIXEL = 8


def _smooth_curve(places: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """A random smooth function of [0, 1] whose values span exactly [-1/2, 1/2]."""
    curve = np.zeros_like(places)
    for frequency in (0.5, 1.0, 1.5):
        curve += generator.normal() / frequency * np.sin(2 * np.pi * (frequency * places + generator.random()))
    low, high = curve.min(), curve.max()
    return (curve - low) / max(high - low, 1e-12) - 0.5


class CameraShake(OptionSection):
    """Blurs a sharp picture as a moving hand does: option ``synth_known_opt``.

    A blur kernel is the path that a point of light draws on the sensor during the exposure. Its heading begins in a
    random main direction and wanders smoothly, its speed varies smoothly, and it is centred, so that nothing shifts.
    The same kernel acts on the whole picture, in linear light (sRGB undone), and sensor noise is added there: blur
    averages away the noise of the sharp picture, and a discriminator would otherwise tell K by its clean shades.

    Each argument is a range from which each sample draws one value, evenly.

    Args:
        length: length of the path in pixels (of the picture as it is trained on).
        angle: main direction in degrees, 0 along the rows, 90 along the columns.
        curvature: how far the heading wanders in all, in degrees; 0 gives a straight line.
        unsteadiness: how much the speed varies, from 0 (even) to 0.95 (nearly stops).
        shot_noise: noise that grows with light: its variance at full light, in units of full light squared, as a
            standard deviation (0.01 is a clean daylight picture).
        read_noise: standard deviation of the noise in the dark, in units of full light.

    Raises:
        pydantic.ValidationError: if a range falls or leaves its bounds (``from_options``: ``UserError``).

    Example:
        >>> kernel = CameraShake(length=(9, 9)).kernel(np.random.default_rng(0))
        >>> kernel.shape[0] % 2, round(float(kernel.sum()), 4)
        (1, 1.0)
    """

    length: Annotated[Range, bounded(0, 255)] = (5.0, 25.0)
    angle: Annotated[Range, bounded(-360, 360)] = (0.0, 180.0)
    curvature: Annotated[Range, bounded(0, 720)] = (0.0, 90.0)
    unsteadiness: Annotated[Range, bounded(0, 0.95)] = (0.0, 0.5)
    shot_noise: Annotated[Range, bounded(0, 0.1)] = (0.0, 0.0)
    read_noise: Annotated[Range, bounded(0, 0.1)] = (0.0, 0.0)

    @property
    def margin(self) -> int:
        """Pixels beyond a crop's edge that its blur can draw on."""
        return math.ceil(self.length[1]) + 1

    def trajectory(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """A random path about its centre of gravity, [steps, 2]: x to the right and y downwards, in pixels."""
        length, angle, curvature, unsteadiness = (
            generator.uniform(*bounds) for bounds in (self.length, self.angle, self.curvature, self.unsteadiness)
        )
        places = np.linspace(0, 1, max(2, math.ceil(length * _STEPS_PER_PIXEL)))
        heading = np.radians(angle + curvature * _smooth_curve(places, generator))
        speed = 1 + 2 * unsteadiness * _smooth_curve(places, generator)
        stride = length * speed / speed.sum()
        path = np.cumsum(np.stack([stride * np.cos(heading), -stride * np.sin(heading)], axis=1), axis=0)
        # The light is spread evenly over time, and the steps are even in time: the mean is the centre of gravity.
        centred: NDArray[np.float64] = path - path.mean(axis=0)
        return centred

    def kernel(self, generator: np.random.Generator) -> NDArray[np.float32]:
        """A random blur kernel, float32 [k, k] with k odd, summing to 1."""
        path = self.trajectory(generator)
        radius = math.ceil(np.abs(path).max() + 1e-9)
        kernel = np.zeros((2 * radius + 1, 2 * radius + 1))
        corner = np.floor(path).astype(int)
        share = path - corner
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
            weight = np.abs(1 - dx - share[:, 0]) * np.abs(1 - dy - share[:, 1])
            columns, rows = corner[:, 0] + dx + radius, corner[:, 1] + dy + radius
            inside = (columns < kernel.shape[1]) & (rows < kernel.shape[0])
            np.add.at(kernel, (rows[inside], columns[inside]), weight[inside])
        normalised: NDArray[np.float32] = (kernel / kernel.sum()).astype(np.float32)
        return normalised

    def blur(self, sharp: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.float32]:
        """Blurs one picture with one random kernel.

        Args:
            sharp: uint8 [h, w, 3], sRGB.
            generator: source of the kernel and the noise.

        Returns:
            The blurred picture, float32 [h, w, 3] in [0, 1], sRGB.
        """
        kernel = self.kernel(generator)
        shot, read = generator.uniform(*self.shot_noise), generator.uniform(*self.read_noise)
        return blur_in_linear_light(sharp, kernel, generator, shot, read)
