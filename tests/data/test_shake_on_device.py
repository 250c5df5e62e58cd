from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from b2b_basicsr.data import CameraShake
from b2b_basicsr.data.camera_motion import CameraMotion
from b2b_basicsr.data.linear_light import encode_srgb, light_of_levels
from b2b_basicsr.data.shake_on_device import average_along_motions, convolve_each, light_of_srgb, srgb_of_light

TURNING: dict[str, Any] = {'length': (2, 8), 'rotation': (1, 3), 'reach': 60}
SHIFTING: dict[str, Any] = {'length': (2, 8)}


def _levels(seed: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def _batch(levels: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(levels).transpose(0, 3, 1, 2).astype(np.float32) / 255)


@pytest.mark.parametrize('seed', range(5))
def test_averaged_copies_equal_the_splatted_kernel(seed: int) -> None:
    shake = CameraShake(length=(3, 12), curvature=(0, 200))
    light = torch.rand(2, 3, 50, 60, generator=torch.Generator().manual_seed(seed))
    paths = [shake.trajectory(np.random.default_rng([seed, sample])) for sample in range(2)]
    kernels = [shake.kernel(np.random.default_rng([seed, sample])) for sample in range(2)]
    motions = [CameraMotion(path, np.zeros(len(path))) for path in paths]
    assert len(motions[0]) != len(motions[1])
    averaged = average_along_motions(light, motions, [(3.0, 8.0), (29.5, 24.5)], margin=13)
    torch.testing.assert_close(averaged, convolve_each(light, kernels, margin=13), atol=1e-5, rtol=0)


def test_copies_turn_clockwise_about_the_centre_given() -> None:
    light = torch.zeros(1, 1, 21, 21)
    light[0, 0, 10, 15] = 1
    quarter = CameraMotion(np.zeros((1, 2)), np.array([np.pi / 2]))
    turned = average_along_motions(light, [quarter], [(10.0, 10.0)], margin=0)
    assert turned[0, 0, 15, 10] == pytest.approx(1, abs=1e-5)
    turned = average_along_motions(light, [quarter], [(12.0, 10.0)], margin=0)
    assert turned[0, 0, 13, 12] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize('options', [SHIFTING, TURNING])
def test_device_gives_the_workers_picture_to_8_bit_rounding(options: dict[str, Any]) -> None:
    shake = CameraShake(**options)
    margin, levels, seeds = shake.margin, [_levels(0), _levels(1), _levels(2)], [5, 2**63 - 1, 7]
    centres = [(40.0, 20.0), (-10.5, 31.5), (31.5, 70.0)]
    blurred = shake.blur_batch(_batch(levels), torch.tensor(seeds), torch.tensor(centres))
    assert blurred.shape == (3, 3, 64 - 2 * margin, 64 - 2 * margin)
    assert blurred.dtype == torch.float32
    for picture, base, seed, centre in zip(blurred, levels, seeds, centres, strict=True):
        worker = shake.blur(base, np.random.default_rng(seed), centre, margin)
        np.testing.assert_allclose(picture.permute(1, 2, 0), worker, atol=0.1 / 255)
    assert np.abs(blurred[0].numpy() - blurred[1].numpy()).max() > 0.1


@pytest.mark.parametrize('options', [SHIFTING, TURNING])
def test_a_picture_does_not_hang_on_the_rest_of_its_batch(options: dict[str, Any]) -> None:
    shake = CameraShake(**options, shot_noise=(0, 0.01), read_noise=(0.01, 0.02))
    base, seed = _batch([_levels(i) for i in range(4)]), torch.tensor([3, 1, 4, 1])
    centre = torch.tensor([[31.5, 31.5], [0, 0], [31.5, 0], [0, 90]])
    whole = shake.blur_batch(base, seed, centre)
    for i in range(4):
        alone = shake.blur_batch(base[i : i + 1], seed[i : i + 1], centre[i : i + 1])
        torch.testing.assert_close(alone[0], whole[i], atol=1e-5, rtol=0)
    assert torch.equal(whole, shake.blur_batch(base, seed, centre))


def test_noise_has_the_deviation_asked_for_and_its_own_seed() -> None:
    shake = CameraShake(length=(5, 5), read_noise=(0.02, 0.02))
    grey = torch.full((3, 3, 150, 150), 188 / 255)
    centre = torch.zeros(3, 2)
    noisy = light_of_srgb(shake.blur_batch(grey, torch.tensor([1, 1, 2]), centre))
    assert float(noisy[0].std()) == pytest.approx(0.02, rel=0.05)
    assert torch.equal(noisy[0], noisy[1])
    assert abs(np.corrcoef(noisy[0].ravel(), noisy[2].ravel())[0, 1]) < 0.02


def test_precision_and_gradients_stay_outside() -> None:
    shake = CameraShake(**SHIFTING)
    base, seed, centre = _batch([_levels(0)]).requires_grad_(), torch.tensor([3]), torch.zeros(1, 2)
    plain = shake.blur_batch(base, seed, centre)
    assert not plain.requires_grad
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(shake.blur_batch(base, seed, centre), plain)


def test_light_and_back_as_in_the_workers() -> None:
    levels = np.arange(256, dtype=np.uint8)
    light = light_of_srgb(torch.from_numpy(levels.astype(np.float32) / 255))
    np.testing.assert_allclose(light, light_of_levels(levels), atol=1e-6)
    np.testing.assert_allclose(srgb_of_light(light), encode_srgb(light_of_levels(levels)), atol=2e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('options', [SHIFTING, TURNING])
def test_gpu_gives_the_cpus_picture(options: dict[str, Any]) -> None:
    shake = CameraShake(**options)
    base, seed, centre = _batch([_levels(0), _levels(1)]), torch.tensor([3, 4]), torch.tensor([[9.0, 9.0], [31.5, 0]])
    gpu = shake.blur_batch(base.cuda(), seed.cuda(), centre.cuda())
    torch.testing.assert_close(gpu.cpu(), shake.blur_batch(base, seed, centre), atol=1e-4, rtol=0)
    whole = shake.blur_whole(_levels(2), seed=1, device='cuda').astype(int)
    assert np.abs(whole - shake.blur_whole(_levels(2), seed=1)).max() <= 1
