"""Camera shake for batches of pictures, on any device, in linear light."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from b2b_basicsr.data.camera_motion import CameraMotion
from b2b_basicsr.data.sensor_noise import NoiseLevels


def light_of_srgb(picture: Tensor) -> Tensor:
    """Linear light in [0, 1] of sRGB values in [0, 1] (IEC 61966-2-1)."""
    return torch.where(picture <= 0.04045, picture / 12.92, ((picture + 0.055) / 1.055).pow(2.4))


def srgb_of_light(light: Tensor) -> Tensor:
    """The sRGB values in [0, 1] of linear light, which is clipped to [0, 1] first."""
    light = light.clamp(0, 1)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.pow(1 / 2.4) - 0.055)


def convolve_each(light: Tensor, kernels: Sequence[NDArray[np.float32]], margin: int) -> Tensor:
    """Convolves each picture of a batch with a kernel of its own.

    Args:
        light: float32 [n, c, h, w].
        kernels: n arrays, float32 [k, k], each k odd and at most ``2 * margin + 1``.
        margin: pixels on every side that the blur draws on and that are cut off.

    Returns:
        float32 [n, c, h - 2 * margin, w - 2 * margin].
    """
    count, channels, height, width = light.shape
    radius = max(len(kernel) // 2 for kernel in kernels)
    stacked = np.stack([np.pad(kernel, radius - len(kernel) // 2) for kernel in kernels])
    # conv2d correlates; flipping both axes makes it a convolution.
    weight = torch.from_numpy(stacked).to(light.device).flip(-2, -1)
    spare = margin - radius
    wanted = light[..., spare : height - spare, spare : width - spare]
    # One group for each picture's channel: all kernels act in one call.
    blurred = F.conv2d(
        wanted.reshape(1, count * channels, *wanted.shape[-2:]),
        weight.repeat_interleave(channels, 0).unsqueeze(1),
        groups=count * channels,
    )
    return blurred.view(count, channels, height - 2 * margin, width - 2 * margin)


def average_along_motions(
    light: Tensor, motions: Sequence[CameraMotion], centres: Sequence[tuple[float, float]], margin: int
) -> Tensor:
    """The mean of each picture's warped copies along a motion of its own, sampled bilinearly.

    Without turns this is convolution with the kernel that bilinear splatting of the shifts gives. Memory does not grow
    with the number of instants.

    Args:
        light: float32 [n, c, h, w]; beyond its borders it is mirrored.
        motions: n motions.
        centres: n optical centres, x and y in pixels of ``light``, pixel centres being whole numbers.
        margin: pixels on every side that the blur may draw on and that are cut off.

    Returns:
        float32 [n, c, h - 2 * margin, w - 2 * margin].
    """
    count, channels, height, width = light.shape
    wide, high = width - 2 * margin, height - 2 * margin
    instants = max(map(len, motions))
    warps = torch.from_numpy(
        np.stack([_warps(m, c, (width, height), instants) for m, c in zip(motions, centres, strict=True)])
    ).to(light.device)
    weights = torch.tensor(
        [[1 / len(motion)] * len(motion) + [0.0] * (instants - len(motion)) for motion in motions],
        device=light.device,
    )
    # Pixels about the picture's middle, whence the margin lies alike on all sides.
    x = torch.arange(wide, device=light.device, dtype=torch.float32) - (wide - 1) / 2
    y = (torch.arange(high, device=light.device, dtype=torch.float32) - (high - 1) / 2).unsqueeze(1)
    mean = light.new_zeros(count, channels, high, wide)
    grid = light.new_empty(count, high, wide, 2)
    for instant in range(instants):
        # Written out instead of affine_grid's matrix product, which TF32 would make coarse by a tenth of a pixel.
        along_x, along_y, start = warps[:, instant].unbind(-1)
        for axis in range(2):
            grid[..., axis] = (
                along_x[:, axis, None, None] * x + along_y[:, axis, None, None] * y + start[:, axis, None, None]
            )
        sampled = F.grid_sample(light, grid, mode='bilinear', padding_mode='reflection', align_corners=True)
        mean.addcmul_(sampled, weights[:, instant, None, None, None])
    return mean


def _warps(
    motion: CameraMotion, centre: tuple[float, float], size: tuple[int, int], instants: int
) -> NDArray[np.float32]:
    """Where each instant looks up a pixel, [instants, 2, 3]: along x, along y and at the middle, as grid_sample counts.

    The pixel q, about the optical centre, shows what lies at the inverse turn of (q - shift). Motions with fewer
    instants stand still at their last.
    """
    half = np.maximum((np.array(size, np.float64) - 1) / 2, 0.5)
    filled = np.minimum(np.arange(instants), len(motion) - 1)
    cosine, sine = np.cos(motion.turn[filled]), np.sin(motion.turn[filled])
    back = np.stack([np.stack([cosine, sine], -1), np.stack([-sine, cosine], -1)], -2)
    middle = (np.array(size, np.float64) - 1) / 2
    start = np.einsum('tij,tj->ti', back, middle - centre - motion.shift[filled]) + centre
    warps = np.concatenate([back / half[:, None], (start / half - 1)[..., None]], -1)
    return warps.astype(np.float32)


def with_sensor_noise_each(light: Tensor, levels: Sequence[NoiseLevels], seeds: Sequence[int]) -> Tensor:
    """Adds to each picture of a batch the noise of its seed; none where both levels are 0.

    Args:
        light: linear light, float32 [n, c, h, w], full light being 1.
        levels: n pairs of standard deviations.
        seeds: n seeds; the same seed gives the same noise on the same device.
    """
    noisy = light.clone()
    for picture, (shot, read), seed in zip(noisy, levels, seeds, strict=True):
        if shot > 0 or read > 0:
            generator = torch.Generator(light.device).manual_seed(seed)
            drawn = torch.randn(picture.shape, generator=generator, device=light.device)
            picture += (shot**2 * picture.clamp(0, 1) + read**2).sqrt() * drawn
    return noisy
