from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from b2b_basicsr.data import CameraShake, PositionedSampler, SampleKey, UnpairedBlurDataset

WIDTH, HEIGHT, CROP = 90, 80, 32
DOT = (72, 18)


@pytest.fixture
def options(make_pictures: Callable[..., Path]) -> dict[str, Any]:
    return {
        'type': 'UnpairedBlurDataset',
        'dataroot_blur': str(make_pictures('blur', ['0.png', '1.png'], seed=1)),
        'dataroot_sharp': str(make_pictures('sharp', ['0.png', '1.png'], size=(70, 60), seed=2)),
        'synth_known_opt': {'length': [5, 9]},
        'io_backend': {'type': 'disk'},
        'gt_size': CROP,
        'batch_size_per_gpu': 2,
    }


def _known(dataset: UnpairedBlurDataset, sample: dict[str, Any]) -> torch.Tensor:
    if 'known' in sample:
        known: torch.Tensor = sample['known']
        return known
    shake = dataset.settings.synth_known_opt
    assert shake is not None
    return shake.blur_batch(*(sample[key].unsqueeze(0) for key in ('known_base', 'known_seed', 'known_centre')))[0]


def test_pictures_without_rotation_are_those_of_before(options: dict[str, Any], tmp_path: Path) -> None:
    """Numbers of the version that knew no rotation."""
    for number in range(3):
        levels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        (tmp_path / 'x').mkdir(exist_ok=True)
        Image.fromarray(levels).resize((64, 50)).save(tmp_path / f'x/{number}.png')
    options |= {
        **{'dataroot_blur': str(tmp_path / 'x'), 'dataroot_sharp': str(tmp_path / 'x'), 'use_rot': True, 'resize': 40},
        'synth_known_opt': {'length': [5, 9], 'read_noise': [0, 0.01]},
        'augment_opt': {'gamma': [0.5, 2], 'scale': [1, 1.3], 'contrast': [0.5, 2]},
    }
    dataset = UnpairedBlurDataset(options)
    samples = [dataset[SampleKey(1, 2, 3, position)] for position in range(4)]
    wanted = {
        'lq': [0.670797, 0.71704, 0.254661, 0.643497],
        'sharp': [0.517416, 0.350356, 0.586716, 0.436316],
        'known': [0.520045, 0.531472, 0.603316, 0.408888],
    }
    for name, values in wanted.items():
        # Pillow's versions round an 8-bit level differently, rarely
        assert [float(sample[name][1, 5, 7]) for sample in samples] == pytest.approx(values, abs=0.01)


def test_sample_for_the_device_holds_what_blur_batch_takes(options: dict[str, Any]) -> None:
    options['synth_known_opt'] |= {'on_device': True, 'rotation': [0, 2], 'reach': 60}
    options['augment_opt'] = {'gamma': [0.5, 2], 'contrast': [0.5, 2], 'channel_shuffle': True, 'scale': [1, 1.5]}
    dataset = UnpairedBlurDataset(options)
    shake = dataset.settings.synth_known_opt
    assert shake is not None
    margin = shake.margin
    assert margin > 10
    sample = dataset[1]
    pictures = {'lq', 'lq_path', 'sharp', 'sharp_path', 'known_base', 'known_seed', 'known_centre'}
    assert set(sample) == pictures | {'epoch', 'position', 'replaced'}
    assert sample['known_base'].shape == (3, CROP + 2 * margin, CROP + 2 * margin)
    assert torch.equal(sample['known_base'][:, margin:-margin, margin:-margin], sample['sharp'])
    assert (sample['known_seed'].dtype, sample['known_seed'].shape) == (torch.int64, ())
    assert (sample['known_centre'].dtype, sample['known_centre'].shape) == (torch.float32, (2,))
    tensors = {key: part for key, part in sample.items() if isinstance(part, torch.Tensor)}
    assert all(torch.equal(dataset[1][key], part) for key, part in tensors.items())
    seeds = {int(dataset[SampleKey(0, 0, 0, position)]['known_seed']) for position in range(8)}
    assert len(seeds) == 8
    batches = list(DataLoader(dataset, batch_size=2, sampler=PositionedSampler(dataset, 1, 0, seed=0), num_workers=1))
    batch = batches[0]
    known = shake.blur_batch(batch['known_base'], batch['known_seed'], batch['known_centre'])
    assert known.shape == batch['sharp'].shape == (2, 3, CROP, CROP)


@pytest.mark.parametrize('on_device', [False, True])
def test_known_is_sharp_where_nothing_moves(options: dict[str, Any], on_device: bool) -> None:
    options['synth_known_opt'] = {'length': [0, 0], 'on_device': on_device}
    options['augment_opt'] = {'gamma': [0.5, 2], 'channel_shuffle': True}
    options['use_rot'] = True
    dataset = UnpairedBlurDataset(options)
    for position in range(6):
        sample = dataset[SampleKey(0, 0, 0, position)]
        torch.testing.assert_close(_known(dataset, sample), sample['sharp'], atol=1e-5, rtol=0)


def test_device_and_worker_make_the_same_of_the_same_seed(options: dict[str, Any]) -> None:
    options['synth_known_opt'] |= {'on_device': True, 'rotation': [0, 2], 'reach': 60}
    dataset = UnpairedBlurDataset(options)
    shake = dataset.settings.synth_known_opt
    assert isinstance(shake, CameraShake)
    sample = dataset[0]
    levels = (sample['known_base'] * 255).round().byte().permute(1, 2, 0).numpy()
    x, y = sample['known_centre'].tolist()
    worker = shake.blur(levels, np.random.default_rng(int(sample['known_seed'])), (x, y), shake.margin)
    np.testing.assert_allclose(_known(dataset, sample).permute(1, 2, 0), worker, atol=0.5 / 255)


def _picture_of_coordinates(tmp_path: Path) -> Path:
    """Red: a dot far from the centre; green: twice the column; blue: twice the row."""
    levels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    levels[DOT[1] - 1 : DOT[1] + 2, DOT[0] - 1 : DOT[0] + 2, 0] = 255
    levels[..., 1], levels[..., 2] = 2 * np.arange(WIDTH), 2 * np.arange(HEIGHT)[:, None]
    (tmp_path / 'coordinates').mkdir()
    Image.fromarray(levels).save(tmp_path / 'coordinates/0.png')
    return tmp_path / 'coordinates'


def _where_in(crop: np.ndarray, point: tuple[float, float]) -> np.ndarray:
    """Column and row of the crop at which the whole picture's ``point`` lies, from the colours of the sharp crop."""
    rows, columns = np.mgrid[:CROP, :CROP]
    places = np.stack([columns.ravel(), rows.ravel(), np.ones(CROP * CROP)], 1)
    seen = np.stack([crop[1].ravel(), crop[2].ravel()], 1) * 255 / 2
    fit = np.linalg.lstsq(places, seen, rcond=None)[0]
    return np.linalg.solve(fit[:2].T, np.array(point) - fit[2])


@pytest.mark.parametrize('on_device', [False, True])
def test_streaks_go_about_the_whole_pictures_centre_for_every_crop_and_orientation(
    options: dict[str, Any], tmp_path: Path, on_device: bool
) -> None:
    options['dataroot_sharp'] = str(_picture_of_coordinates(tmp_path))
    options['synth_known_opt'] = {
        'length': [0, 0],
        'unsteadiness': [0, 0],
        'rotation': [12, 12],
        'reach': 64,
        'on_device': on_device,
    }
    options['use_rot'] = True
    dataset = UnpairedBlurDataset(options)
    directions = []
    for position in range(260):
        sample = dataset[SampleKey(0, 0, 0, position)]
        sharp = sample['sharp'].numpy()
        centre, dot = _where_in(sharp, ((WIDTH - 1) / 2, (HEIGHT - 1) / 2)), _where_in(sharp, DOT)
        if (dot < 6).any() or (dot > CROP - 7).any():
            continue  # not in this crop, or too near to its edge for the streak to be whole
        light = np.power(_known(dataset, sample)[0].numpy(), 2.2)
        rows, columns = np.mgrid[:CROP, :CROP]
        places = np.stack([columns.ravel(), rows.ravel()], 1)
        mean = np.average(places, axis=0, weights=light.ravel())
        np.testing.assert_allclose(mean, dot, atol=0.2)
        spread = np.cov(places.T, aweights=light.ravel())
        strengths, axes = np.linalg.eigh(spread)
        assert strengths[1] > 3 * strengths[0]
        towards = (dot - centre) / np.linalg.norm(dot - centre)
        assert abs(float(axes[:, 1] @ towards)) < 0.06
        assert strengths[1] - strengths[0] == pytest.approx(
            (np.linalg.norm(dot - centre) * np.radians(12)) ** 2 / 12, 0.2
        )
        directions.append(np.sign(towards))
    assert len(directions) > 8
    assert len({tuple(direction) for direction in directions}) == 4
