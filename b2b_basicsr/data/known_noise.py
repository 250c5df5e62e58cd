"""Sensor noise for K that has none of its own."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from b2b_basicsr.data.sensor_noise import SensorNoise
from b2b_basicsr.data.shake_on_device import light_of_srgb, srgb_of_light, with_sensor_noise_each


class KnownNoise(SensorNoise):
    """Gives K the noise that its blur has taken from S: option ``known_noise_opt``.

    It is added in linear light (sRGB undone), by the model, on its device. For K of the kernel network, and ready-made
    K; the other sources have noise of their own.

    Example:
        >>> grey = torch.full((2, 3, 8, 8), 0.5)
        >>> noisy = KnownNoise(shot_noise=(0.01, 0.01)).on_batch(grey, torch.tensor([1, 2]))
        >>> bool(0 < (noisy - grey).std() < 0.02), bool((noisy[0] != noisy[1]).any())
        (True, True)
    """

    @torch.no_grad()
    def on_batch(self, known: Tensor, seed: Tensor) -> Tensor:
        """Adds to each picture the noise of its seed, whatever batch it is in.

        Args:
            known: [n, 3, h, w] about [0, 1], sRGB.
            seed: int64 [n], not negative. The same seed gives the same noise on the same device.

        Returns:
            float32 [n, 3, h, w] in [0, 1], on the same device, without gradient.
        """
        seeds = seed.tolist()
        levels = [self.draw_noise(np.random.default_rng(one)) for one in seeds]
        # In full precision, whatever the networks around it are trained in: bf16 has steps as large as the noise.
        with torch.autocast(known.device.type, enabled=False):
            return srgb_of_light(with_sensor_noise_each(light_of_srgb(known.float()), levels, seeds))
