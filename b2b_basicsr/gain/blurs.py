"""The blurs of the cameras: each takes linear light and gives what falls on the sensor."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from typing_extensions import override

from b2b_basicsr.data.camera_shake import CameraShake
from b2b_basicsr.data.defocus import defocus_kernel
from b2b_basicsr.data.linear_light import convolve
from b2b_basicsr.data.shake_on_device import average_along_motions
from b2b_basicsr.gain.camera_look import Light
from b2b_basicsr.gain.measured_kernels import Kernel, turned_and_scaled

_COPIES_PER_PIXEL = 2


class Blur(ABC):
    """A kind of blur, of which every picture draws its own."""

    @abstractmethod
    def of(self, light: Light, generator: np.random.Generator) -> Light:
        """Blurs linear light.

        Args:
            light: float32 [h, w, 3], not negative, 1 being where the sensor clips; more than that may be there.
            generator: source of the blur.

        Returns:
            Light of the same shape, not clipped.
        """


@dataclass(frozen=True)
class Shake(Blur):
    """A parametric camera shake, one for the whole picture."""

    shake: CameraShake

    @override
    def of(self, light: Light, generator: np.random.Generator) -> Light:
        return convolve(light, self.shake.kernel(generator))


@dataclass(frozen=True)
class MeasuredShake(Blur):
    """Measured kernels, each turned and scaled at random.

    Args:
        kernels: float32 [k, k], k odd, summing to 1.
        scale: range of the scale.
    """

    kernels: Sequence[Kernel]
    scale: tuple[float, float]

    @override
    def of(self, light: Light, generator: np.random.Generator) -> Light:
        kernel = self.kernels[int(generator.integers(len(self.kernels)))]
        return convolve(light, turned_and_scaled(kernel, generator.uniform(0, 360), generator.uniform(*self.scale)))


@dataclass(frozen=True)
class Defocus(Blur):
    """A lens out of focus, and a little shake.

    Args:
        radius: range of the disc's radius in pixels.
        shake: beside it.
    """

    radius: tuple[float, float]
    shake: CameraShake

    @override
    def of(self, light: Light, generator: np.random.Generator) -> Light:
        defocused = convolve(light, defocus_kernel(generator.uniform(*self.radius)))
        return convolve(defocused, self.shake.kernel(generator))


@dataclass(frozen=True)
class TurningShake(Blur):
    """The mean of warped frames: the camera shifts and turns about its optical axis, so blur varies over the picture.

    What is brighter than the sensor can tell draws streaks that clip.

    Args:
        shake: with ``rotation``.
    """

    shake: CameraShake

    @override
    def of(self, light: Light, generator: np.random.Generator) -> Light:
        height, width = light.shape[:2]
        motion = self.shake.motion(generator, _COPIES_PER_PIXEL, math.hypot(width, height) / 2)
        batch = torch.from_numpy(np.ascontiguousarray(light.transpose(2, 0, 1))).unsqueeze(0)
        mean = average_along_motions(batch, [motion], [((width - 1) / 2, (height - 1) / 2)], margin=0)
        blurred: Light = mean[0].permute(1, 2, 0).contiguous().numpy()
        return blurred


def beyond_white(light: Light, boost: float) -> Light:
    """Light as it was before a photograph clipped it: what is nearly white is made up to ``boost`` times brighter.

    Args:
        light: float32 of any shape in [0, 1].
        boost: how bright a fully white pixel becomes, 1 or more.
    """
    nearly_white = np.clip((light - 0.8) / 0.2, 0, 1)
    brighter: Light = (light * (1 + (boost - 1) * nearly_white**2)).astype(np.float32)
    return brighter
