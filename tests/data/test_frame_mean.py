from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from basicsr.utils.lmdb_util import make_lmdb_from_imgs
from PIL import Image

from b2b_basicsr.data import FrameMean, SampleKey, UnpairedBlurDataset
from b2b_basicsr.data.linear_light import encode_srgb, light_of_levels
from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.data.videos import Videos
from b2b_basicsr.errors import UserError

MakePictures = Callable[..., Path]


def _video(folder: Path, count: int, step: int = 1) -> None:
    """A grey picture across which a white bar walks, ``step`` pixels a frame; names in natural order alone."""
    folder.mkdir(parents=True)
    for number in range(count):
        levels = np.full((40, 48, 3), 60, np.uint8)
        levels[:, 10 + step * number] = 255
        Image.fromarray(levels).save(folder / f'{number}.png')


@pytest.fixture
def options(make_pictures: MakePictures, tmp_path: Path) -> dict[str, Any]:
    _video(tmp_path / 'sharp/v', 13)
    return {
        'type': 'UnpairedBlurDataset',
        'dataroot_blur': str(make_pictures('blur', ['0.png', '1.png'])),
        'dataroot_sharp': str(tmp_path / 'sharp'),
        'frame_mean_opt': {'frames': [5, 5]},
        'io_backend': {'type': 'disk'},
        'gt_size': 40,
        'batch_size_per_gpu': 1,
    }


def test_mean_is_of_light() -> None:
    frames = [np.full((2, 3, 3), level, np.uint8) for level in (0, 0, 255)]
    mean = FrameMean().mean(iter(frames), np.random.default_rng(0))
    np.testing.assert_allclose(mean, encode_srgb(np.full((2, 3, 3), 1 / 3, np.float32)), atol=1e-6)
    noisy = FrameMean(read_noise=(0.02, 0.02)).mean(
        (np.full((99, 99, 3), 188, np.uint8) for _ in range(4)), np.random.default_rng(0)
    )
    assert light_of_levels(np.round(noisy * 255).astype(np.uint8)).std() == pytest.approx(0.02, rel=0.1)


def test_counts_are_drawn_evenly_odd_and_even() -> None:
    generator = np.random.default_rng(0)
    counts = [FrameMean(frames=(3, 6)).draw_count(generator) for _ in range(800)]
    assert sorted(set(counts)) == [3, 4, 5, 6]
    assert min(counts.count(count) for count in (3, 4, 5, 6)) > 150


@pytest.mark.parametrize('count', [2, 4, 5])
def test_known_is_the_streak_about_the_sharp_bar(options: dict[str, Any], count: int) -> None:
    options['frame_mean_opt'] = {'frames': [count, count]}
    options['augment_opt'] = {'gamma': [0.7, 1.4], 'channel_shuffle': True}
    options['use_rot'] = True
    dataset = UnpairedBlurDataset(options)
    bars = set()
    for position in range(12):
        sample = dataset[SampleKey(0, 0, 0, position)]
        pictures = {'lq', 'lq_path', 'sharp', 'sharp_path', 'known', 'known_path'}
        assert set(sample) == pictures | {'epoch', 'position', 'replaced'}
        sharp, known = sample['sharp'], sample['known']
        if float(sharp[0].std(1).max()) < 1e-6:  # turned: the bar lies along the rows
            sharp, known = sharp.mT, known.mT
        bar, streak = np.flatnonzero(sharp[0, 3] > 0.9), np.flatnonzero(known[0, 3] > sharp[0, 3].min() + 1e-3)
        assert len(bar) == 1
        assert len(streak) == count
        assert abs(streak.mean() - bar[0]) == (0 if count % 2 else 0.5)
        bars.add(int(bar[0]))
    assert len(bars) > 4


def test_sharp_is_named_by_the_middle_frame(options: dict[str, Any]) -> None:
    options['frame_mean_opt'] = {'frames': [13, 13]}
    sample = UnpairedBlurDataset(options)[0]
    assert sample['sharp_path'] == sample['known_path'] == f'{options["dataroot_sharp"]}/v/6.png'


def test_lmdb_gives_the_same_samples(options: dict[str, Any]) -> None:
    plain = UnpairedBlurDataset(options)
    packed = {}
    for key in ('dataroot_blur', 'dataroot_sharp'):
        names = PictureSource(key, options[key], {'type': 'disk'}).names
        packed[key] = f'{options[key]}.lmdb'
        keys = [name.removesuffix('.png') for name in names]
        make_lmdb_from_imgs(options[key], packed[key], names, keys, map_size=2**24)
    dataset = UnpairedBlurDataset({**options, **packed, 'io_backend': {'type': 'lmdb'}})
    for index in range(2):
        assert torch.equal(dataset[index]['known'], plain[index]['known'])
        assert torch.equal(dataset[index]['sharp'], plain[index]['sharp'])


def test_short_videos_and_unequal_frames_are_the_users_to_mend(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'dataroot_sharp: no folder holds 14 frames .*frame_mean_opt:frames'):
        UnpairedBlurDataset({**options, 'frame_mean_opt': {'frames': [7, 14]}})
    Image.new('RGB', (64, 64)).save(tmp_path / 'sharp/v/6.png')
    dataset = UnpairedBlurDataset(options)
    with pytest.raises(UserError, match=r'v/0\.png measures 48x40, .*v/6\.png 64x64'):
        dataset.check_pictures()
    replaced = {dataset[SampleKey(0, 0, 0, position)]['replaced'] for position in range(20)} - {''}
    assert replaced
    pattern = r'.*v/\d+\.png measures .*v/\d+\.png .*frames of one video must be of one size'
    assert all(re.match(pattern, line) for lines in replaced for line in lines.splitlines())


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'frames': [7.5, 9]}, r'frame_mean_opt:frames: .*must be whole numbers'),
        ({'frames': [1, 9]}, r'frames.*must lie in \[2, 999\]'),
        ({'frames': [9, 7]}, r'frames.*falls'),
        ({'frame': [7, 9]}, r'frame_mean_opt:frame: unknown key; did you mean frames\?'),
    ],
)
def test_bad_options(options: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        UnpairedBlurDataset({**options, 'frame_mean_opt': change})


def test_whole_frames(options: dict[str, Any]) -> None:
    source = PictureSource('sharp', options['dataroot_sharp'], {'type': 'disk'})
    videos, mean = Videos(source, 5), FrameMean(frames=(5, 5))

    def streak(number: int, resize: int | None = None) -> np.ndarray:
        picture = mean.of_video(videos, source.names.index(f'v/{number}.png'), seed=3, resize=resize)
        assert picture.dtype == np.uint8
        assert picture.shape == ((40, 48, 3) if resize is None else (20, 24, 3))
        return np.flatnonzero(picture[7, :, 1] > 61)

    assert streak(6).tolist() == [14, 15, 16, 17, 18]
    assert streak(0).tolist() == streak(2).tolist() == [10, 11, 12, 13, 14]
    assert streak(12).tolist() == [18, 19, 20, 21, 22]
    assert 2 <= len(streak(6, resize=20)) <= 6
    varied = FrameMean(frames=(2, 13), read_noise=(0.01, 0.01))
    videos = Videos(source, varied.most_frames)
    pictures = [varied.of_video(videos, 6, seed) for seed in (1, 1, 2)]
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])
