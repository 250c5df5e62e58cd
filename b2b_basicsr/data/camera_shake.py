"""Known blur made from sharp pictures: a parametric camera shake."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from b2b_basicsr.data.camera_motion import CameraMotion
from b2b_basicsr.data.linear_light import as_levels, convolve, encode_srgb, light_of_levels, with_sensor_noise
from b2b_basicsr.data.sensor_noise import SensorNoise
from b2b_basicsr.data.shake_on_device import (
    average_along_motions,
    convolve_each,
    light_of_srgb,
    srgb_of_light,
    with_sensor_noise_each,
)
from b2b_basicsr.options.section import Flag, Number, Range, bounded

_STEPS_PER_PIXEL = 8
# Warped copies half a pixel apart, sampled bilinearly, leave no gaps; more of them change less than an 8-bit level.
_COPIES_PER_PIXEL = 2

Centre = tuple[float, float]


def _smooth_curve(places: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """A random smooth function of [0, 1] whose values span exactly [-1/2, 1/2]."""
    curve = np.zeros_like(places)
    for frequency in (0.5, 1.0, 1.5):
        curve += generator.normal() / frequency * np.sin(2 * np.pi * (frequency * places + generator.random()))
    low, high = curve.min(), curve.max()
    return (curve - low) / max(high - low, 1e-12) - 0.5


def _middle(size: tuple[int, int]) -> Centre:
    """The centre of a picture of some width and height, where whole numbers are the centres of pixels."""
    return (size[0] - 1) / 2, (size[1] - 1) / 2


def _reach(size: tuple[int, int], centre: Centre, margin: int = 0) -> float:
    """The distance in pixels of a picture's farthest corner, ``margin`` cut off, from ``centre``."""
    return math.hypot(*(max(place, side - 1 - place) - margin for side, place in zip(size, centre, strict=True)))


class CameraShake(SensorNoise):
    """Blurs a sharp picture as a moving hand does: option ``synth_known_opt``.

    The picture of a point of light draws a path on the sensor during the exposure. Its heading begins in a random main
    direction and wanders smoothly, its speed varies smoothly, and it is centred, so that nothing shifts. With
    ``rotation`` the camera also turns about its optical axis, one way or the other, at a speed that varies as well:
    blur then varies over the picture, and turning adds nothing at the picture's centre and most in its corners.
    All happens in linear light (sRGB undone), and sensor noise is added there.

    Each range is one from which each sample draws one value, evenly.

    Raises:
        pydantic.ValidationError: if a range falls or leaves its bounds (``from_options``: ``UserError``).

    Example:
        >>> kernel = CameraShake(length=(9, 9)).kernel(np.random.default_rng(0))
        >>> kernel.shape[0] % 2, round(float(kernel.sum()), 4)
        (1, 1.0)
    """

    length: Annotated[Range, bounded(0, 255)] = (5.0, 25.0)
    """Length of the path in pixels of the picture as it is trained on."""
    angle: Annotated[Range, bounded(-360, 360)] = (0.0, 180.0)
    """Main direction in degrees, 0 along the rows, 90 along the columns."""
    curvature: Annotated[Range, bounded(0, 720)] = (0.0, 90.0)
    """How far the heading wanders in all, in degrees; 0 gives a straight line."""
    unsteadiness: Annotated[Range, bounded(0, 0.95)] = (0.0, 0.5)
    """How much the speed varies, from 0 (even) to 0.95 (nearly stops)."""
    rotation: Annotated[Range, bounded(0, 30)] = (0.0, 0.0)
    """By how much the camera turns in all, in degrees. 1 degree draws 9 pixels 512 pixels from the centre."""
    reach: Annotated[Number, Field(gt=0, le=10000)] = 573.0
    """The distance of a picture's corner from its centre, in pixels as it is trained on, that crops' margin provides
    for, where the camera turns; half the diagonal. The default is that of a 2:1 picture with `resize: 512`. In larger
    pictures, crops far from the centre may see the margin's own mirror at an edge."""
    on_device: Flag = False
    """The model blurs whole batches on its device, instead of the data loader's workers."""

    @property
    def margin(self) -> int:
        """Pixels beyond a crop's edge that its blur can draw on; the same for every crop."""
        return self._margin(self.reach)

    def _margin(self, reach: float) -> int:
        shifting = math.ceil(self.length[1]) + 1
        # About its mean, an even turn goes half of it either way, and one that nearly stops up to all of it.
        swing = math.radians(self.rotation[1]) * (1 + self.unsteadiness[1]) / 2
        return shifting + math.ceil(swing * (reach + shifting) if swing else 0)

    @property
    def turns(self) -> bool:
        """Whether blur varies over the picture."""
        return self.rotation[1] > 0

    def motion(self, generator: np.random.Generator, steps_per_pixel: float, reach: float = 0.0) -> CameraMotion:
        """A random motion.

        Args:
            generator: source of the motion.
            steps_per_pixel: instants for each pixel that a point at ``reach`` draws.
            reach: distance from the optical centre, in pixels.
        """
        turned = 0.0
        if self.turns:  # else nothing is drawn: options without rotation give what they gave before there was one
            turned = math.radians(generator.uniform(*self.rotation)) * (1 if generator.random() < 0.5 else -1)
        length, angle, curvature, unsteadiness = (
            generator.uniform(*bounds) for bounds in (self.length, self.angle, self.curvature, self.unsteadiness)
        )
        drawn = length + reach * abs(turned)
        places = np.linspace(0, 1, max(2, math.ceil(drawn * steps_per_pixel)))
        heading = np.radians(angle + curvature * _smooth_curve(places, generator))
        speed = 1 + 2 * unsteadiness * _smooth_curve(places, generator)
        stride = length * speed / speed.sum()
        path = np.cumsum(np.stack([stride * np.cos(heading), -stride * np.sin(heading)], axis=1), axis=0)
        turn = np.zeros_like(places)
        if self.turns:
            turning = 1 + 2 * unsteadiness * _smooth_curve(places, generator)
            turn = np.cumsum(turned * turning / turning.sum())
        # The light is spread evenly over time, and the steps are even in time: the mean is the centre of gravity.
        return CameraMotion(path - path.mean(axis=0), turn - turn.mean())

    def trajectory(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """A random path about its centre of gravity, [steps, 2]: x to the right and y downwards, in pixels."""
        return self.motion(generator, _STEPS_PER_PIXEL).shift

    def kernel(self, generator: np.random.Generator) -> NDArray[np.float32]:
        """A random blur kernel, float32 [k, k] with k odd, summing to 1: the blur at the optical centre."""
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

    def blur(
        self, sharp: NDArray[np.uint8], generator: np.random.Generator, centre: Centre | None = None, margin: int = 0
    ) -> NDArray[np.float32]:
        """Blurs one picture by one random motion, on the CPU.

        Args:
            sharp: uint8 [h, w, 3], sRGB. Beyond its borders it is mirrored.
            generator: source of the motion and the noise.
            centre: x and y of the optical centre in pixels of ``sharp``, whole numbers being the centres of pixels;
                ``None`` is the picture's own centre. It may lie outside.
            margin: pixels on every side that are cut off after the blur.

        Returns:
            The blurred picture, float32 [h - 2 * margin, w - 2 * margin, 3] in [0, 1], sRGB.
        """
        height, width = sharp.shape[:2]
        inside = np.s_[margin : height - margin, margin : width - margin]
        light = light_of_levels(sharp)
        if not self.turns:
            light = convolve(light, self.kernel(generator))
            # Noise is drawn for the margin too, as it was before there was a ``margin`` to cut off here.
            return encode_srgb(with_sensor_noise(light, generator, *self.draw_noise(generator)))[inside]
        centre = centre or _middle((width, height))
        motion = self.motion(generator, _COPIES_PER_PIXEL, _reach((width, height), centre, margin))
        batch = torch.from_numpy(np.ascontiguousarray(light.transpose(2, 0, 1))).unsqueeze(0)
        mean = average_along_motions(batch, [motion], [centre], margin)[0].numpy().transpose(1, 2, 0)
        return encode_srgb(with_sensor_noise(mean, generator, *self.draw_noise(generator)))

    def blur_batch(self, base: Tensor, seed: Tensor, centre: Tensor) -> Tensor:
        """Blurs a batch, each picture by a motion of its own, on the device that ``base`` is on.

        A picture's blur depends on its seed and centre alone, not on the batch. Where the CPU's ``blur`` begins with
        ``np.random.default_rng(seed)``, it gives the same picture but for the noise, which each device draws itself.

        Args:
            base: float32 [n, 3, h, w] in [0, 1], sRGB: crops with ``margin`` pixels around them.
            seed: int64 [n], not negative.
            centre: float32 [n, 2], x and y of each optical centre in pixels of ``base``.

        Returns:
            float32 [n, 3, h - 2 * margin, w - 2 * margin] in [0, 1], on the same device, without gradient.
        """
        centres = [(float(x), float(y)) for x, y in centre.tolist()]
        return self._blur_batch(base, seed.tolist(), centres, self.margin)

    @torch.no_grad()
    def _blur_batch(self, base: Tensor, seeds: Sequence[int], centres: Sequence[Centre], margin: int) -> Tensor:
        generators = [np.random.default_rng(seed) for seed in seeds]
        # Known blur stays known to the last bit, whatever precision the networks around it are trained in.
        with torch.autocast(base.device.type, enabled=False):
            light = light_of_srgb(base.float())
            if self.turns:
                size = base.shape[-1], base.shape[-2]
                motions = [
                    self.motion(generator, _COPIES_PER_PIXEL, _reach(size, centre, margin))
                    for generator, centre in zip(generators, centres, strict=True)
                ]
                light = average_along_motions(light, motions, centres, margin)
            else:
                light = convolve_each(light, [self.kernel(generator) for generator in generators], margin)
            levels = [self.draw_noise(generator) for generator in generators]
            return srgb_of_light(with_sensor_noise_each(light, levels, seeds))

    def blur_whole(
        self, picture: NDArray[np.uint8], seed: int, device: torch.device | str = 'cpu'
    ) -> NDArray[np.uint8]:
        """Blurs a whole picture, which turns about its own centre and is mirrored at its borders.

        The same seed gives the same bytes on the same machine and device; devices differ in their noise.

        Args:
            picture: uint8 [h, w, 3], sRGB.
            seed: of the motion and the noise.
            device: where it is done.

        Returns:
            uint8 [h, w, 3], sRGB.
        """
        device = torch.device(device)
        if device.type == 'cpu':
            return as_levels(self.blur(picture, np.random.default_rng(seed)))
        size = picture.shape[1], picture.shape[0]
        margin = self._margin(_reach(size, _middle(size)))
        levels = np.asarray(cv2.copyMakeBorder(picture, margin, margin, margin, margin, cv2.BORDER_REFLECT_101))
        wide = levels.astype(np.float32) / np.float32(255)
        base = torch.from_numpy(np.ascontiguousarray(wide.transpose(2, 0, 1))).unsqueeze(0).to(device)
        centre = _middle((wide.shape[1], wide.shape[0]))
        blurred = self._blur_batch(base, [seed], [centre], margin)
        return as_levels(blurred[0].permute(1, 2, 0).cpu().numpy())
