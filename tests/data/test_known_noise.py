from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from b2b_basicsr.data.known_noise import KnownNoise
from b2b_basicsr.data.sample_key import SampleKey
from b2b_basicsr.data.shake_on_device import light_of_srgb
from b2b_basicsr.data.unpaired_blur_dataset import UnpairedBlurDataset
from b2b_basicsr.errors import UserError

MakePictures = Callable[..., Path]


@pytest.fixture
def options(make_pictures: MakePictures) -> dict[str, Any]:
    return {
        'type': 'UnpairedBlurDataset',
        'dataroot_blur': str(make_pictures('blur', ['0.png', '1.png'], seed=1)),
        'dataroot_known': str(make_pictures('known', ['0.png', '1.png', '2.png'], seed=2)),
        'io_backend': {'type': 'disk'},
        'gt_size': 32,
        'batch_size_per_gpu': 2,
    }


def test_noise_has_the_asked_deviation_in_linear_light() -> None:
    grey = torch.full((1, 3, 128, 128), 0.6)
    light = float(light_of_srgb(grey)[0, 0, 0, 0])
    for shot, read in ((0.02, 0.0), (0.0, 0.01), (0.02, 0.01)):
        noisy = KnownNoise(shot_noise=(shot, shot), read_noise=(read, read)).on_batch(grey, torch.tensor([5]))
        wanted = (shot**2 * light + read**2) ** 0.5
        found = light_of_srgb(noisy)
        assert float(found.std()) == pytest.approx(wanted, rel=0.03)
        assert float(found.mean()) == pytest.approx(light, abs=wanted / 50)


def test_noise_hangs_on_the_seed_alone() -> None:
    noise = KnownNoise(shot_noise=(0.0, 0.02), read_noise=(0.0, 0.01))
    known = torch.rand(3, 3, 16, 16, generator=torch.manual_seed(0))
    together = noise.on_batch(known, torch.tensor([7, 8, 7]))
    assert torch.equal(together[1:2], noise.on_batch(known[1:2], torch.tensor([8])))
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(noise.on_batch(known, torch.tensor([7, 8, 7])), together)
    assert 0 <= together.min() < together.max() <= 1
    alike = noise.on_batch(known[:1].expand(3, -1, -1, -1), torch.tensor([7, 8, 7]))
    assert torch.equal(alike[0], alike[2])
    # Of each its own strength, too.
    assert (alike[0] - known[0]).std() != pytest.approx(float((alike[1] - known[0]).std()), rel=0.02)


def test_without_levels_k_stays() -> None:
    known = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(KnownNoise().on_batch(known, torch.tensor([1])), known, atol=1e-6, rtol=1e-5)


def test_data_set_gives_a_seed_for_each_place_and_leaves_the_rest_as_it_was(options: dict[str, Any]) -> None:
    plain = UnpairedBlurDataset(options)
    noisy = UnpairedBlurDataset({**options, 'known_noise_opt': {'read_noise': [0, 0.01]}})
    seeds = set()
    for place in range(4):
        key = SampleKey(picture=place % 2, seed=3, epoch=1, position=place)
        sample, again, before = noisy[key], noisy[key], plain[key]
        assert set(sample) - set(before) == {'known_seed'}
        for name in ('lq', 'known'):
            assert torch.equal(sample[name], before[name])
        assert (sample['known_seed'].dtype, sample['known_seed'].shape) == (torch.int64, ())
        assert sample['known_seed'] == again['known_seed']
        seeds.add(int(sample['known_seed']))
    assert len(seeds) == 4


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            {'dataroot_known': None, 'synth_known_opt': {}},
            'datasets:train:known_noise_opt: synth_known_opt has noise of its own: set shot_noise and read_noise there',
        ),
        (
            {'dataroot_known': None, 'frame_mean_opt': {}},
            'datasets:train:known_noise_opt: frame_mean_opt has noise of its own: set shot_noise and read_noise there',
        ),
        (
            {'known_noise_opt': {'shot_noise': [0, 1]}},
            r'datasets:train:known_noise_opt:shot_noise: .0, 1.: .* must lie in .0, 0\.1.',
        ),
        (
            {'known_noise_opt': {'shot': [0, 1]}},
            'datasets:train:known_noise_opt:shot: unknown key; known are',
        ),
    ],
)
def test_wrong_options_are_one_line(options: dict[str, Any], change: dict[str, Any], message: str) -> None:
    noise = {'known_noise_opt': {'read_noise': [0, 0.01]}, 'dataroot_sharp': options['dataroot_known']}
    with pytest.raises(UserError, match=f'^{message}') as told:
        UnpairedBlurDataset({**options, **noise, **change})
    assert '\n' not in str(told.value)
