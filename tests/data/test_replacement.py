"""Pictures that vanish, break or shrink under a running training have others stand in for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from basicsr.data import build_dataset
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from b2b_basicsr.data import PositionedSampler, SampleKey, UnpairedBlurDataset
from b2b_basicsr.data.broken_picture import read_sample
from b2b_basicsr.data.positioned_dataset import PositionedDataset
from b2b_basicsr.errors import UserError

MakePictures = Callable[..., Path]
Options = dict[str, Any]
Break = Callable[[Path], None]


def _delete(file: Path) -> None:
    file.unlink()


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _empty(file: Path) -> None:
    file.write_bytes(b'')


def _shrink(file: Path) -> None:
    Image.open(file).resize((20, 20)).save(file)


WAYS = {'deleted': _delete, 'truncated': _truncate, 'empty': _empty, 'shrunk': _shrink}


@pytest.fixture
def options(make_pictures: MakePictures) -> Options:
    return {
        'type': 'UnpairedBlurDataset',
        'name': 'train',
        'phase': 'train',
        'dataroot_blur': str(make_pictures('blur', [f'{i}.png' for i in range(5)], seed=1)),
        'dataroot_sharp': str(make_pictures('sharp', [f'{i}.jpg' for i in range(6)], seed=2)),
        'io_backend': {'type': 'disk'},
        'gt_size': 32,
        'batch_size_per_gpu': 2,
    }


@pytest.fixture
def known(options: Options, make_pictures: MakePictures) -> Callable[[str], tuple[Options, str, Path]]:
    """By the name of K's source: options, the sample's picture that is broken, and its file."""

    def make(source: str) -> tuple[Options, str, Path]:
        names = [f'{i}.png' for i in range(4)]
        if source == 'shake':
            return options | {'synth_known_opt': {'length': [5, 9]}}, 'sharp', Path(options['dataroot_sharp'], '1.jpg')
        if source == 'on device':
            shake = {'length': [5, 9], 'on_device': True}
            return options | {'synth_known_opt': shake}, 'sharp', Path(options['dataroot_sharp'], '1.jpg')
        if source == 'frames':
            return options | {'frame_mean_opt': {'frames': [2, 3]}}, 'sharp', Path(options['dataroot_sharp'], '5.jpg')
        if source == 'ready-made':
            root = make_pictures('known', names)
            return options | {'dataroot_known': str(root)}, 'known', root / '1.png'
        blurry, sharp = make_pictures('known_blur', names), make_pictures('known_sharp', names)
        pairs = {'dataroot_known_blur': str(blurry), 'dataroot_known_sharp': str(sharp)}
        return options | pairs, 'known_sharp', sharp / '1.png'

    return make


def _samples(dataset: Any, workers: int, epochs: int = 3) -> list[dict[str, Any]]:
    sampler = PositionedSampler(dataset, 1, 0, 2, seed=7)
    samples: list[dict[str, Any]] = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        loader: Any = DataLoader(dataset, batch_size=None, sampler=sampler, num_workers=workers)
        samples += loader
    return samples


def _same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[key]) if isinstance(value, torch.Tensor) else value == second[key]
        for key, value in first.items()
    )


@pytest.mark.parametrize('way', WAYS)
def test_others_stand_in_whatever_the_number_of_workers(options: Options, way: str) -> None:
    options['synth_known_opt'] = {'length': [5, 9]}
    dataset = UnpairedBlurDataset(options)
    before = _samples(dataset, 0)
    broken = Path(options['dataroot_blur'], '3.png')
    WAYS[way](broken)
    samples = _samples(dataset, 0)
    assert all(_same(one, other) for one, other in zip(samples, _samples(dataset, 2), strict=True))
    hit = [place for place, sample in enumerate(before) if sample['lq_path'] == str(broken)]
    assert len(hit) == 6
    for place, (old, new) in enumerate(zip(before, samples, strict=True)):
        if place not in hit:
            assert _same(old, new)
            continue
        assert old['replaced'] == ''
        assert new['replaced'].startswith(f'datasets:train:dataroot_blur: {broken} ')
        assert '\n' not in new['replaced']
        assert not torch.equal(new['lq'], old['lq'])
        others = [name for name in old if name not in ('lq', 'lq_path', 'replaced')]
        assert _same({name: old[name] for name in others}, {name: new[name] for name in others})
    assert len({samples[place]['lq_path'] for place in hit} - {str(broken)}) > 1
    assert all(samples[place]['lq_path'] != str(broken) for place in hit)


@pytest.mark.parametrize('source', ['shake', 'on device', 'frames', 'ready-made', 'pairs'])
def test_every_source_of_pictures(known: Callable[[str], tuple[Options, str, Path]], source: str) -> None:
    options, name, file = known(source)
    dataset = UnpairedBlurDataset(options)
    before = _samples(dataset, 0)
    _truncate(file)
    samples = _samples(dataset, 0)
    replaced = [sample for sample in samples if sample['replaced']]
    assert 0 < len(replaced) < len(samples)
    for sample in replaced:
        assert f'{file} cannot be read as a picture' in sample['replaced']
    assert all(sample[f'{name}_path'] != str(file) for sample in samples)
    for old, new in zip(before, samples, strict=True):
        assert _same(old, new) == (not new['replaced'])
    assert {key: getattr(value, 'shape', None) for key, value in before[0].items()} == {
        key: getattr(value, 'shape', None) for key, value in replaced[0].items()
    }


def test_pair_of_two_sizes_is_broken(known: Callable[[str], tuple[Options, str, Path]]) -> None:
    options, _, file = known('pairs')
    dataset = UnpairedBlurDataset(options)
    Image.open(file).resize((90, 80)).save(file)
    told = {sample['replaced'] for sample in _samples(dataset, 0)} - {''}
    assert len(told) == 1
    assert 'its sharp twin 90x80; pairs must be of one size' in told.pop()


def test_several_pictures_of_one_sample_are_all_named(options: Options, make_pictures: MakePictures) -> None:
    root = make_pictures('known', ['0.png', '1.png'])
    dataset = UnpairedBlurDataset(options | {'dataroot_known': str(root)})
    for file in (Path(options['dataroot_blur'], '0.png'), root / '0.png'):
        file.unlink()
    told = [sample['replaced'].splitlines() for sample in _samples(dataset, 0, epochs=8) if sample['replaced']]
    assert {len(lines) for lines in told} >= {1, 2}


def test_all_gone_is_an_error(options: Options) -> None:
    options['synth_known_opt'] = {'length': [5, 9]}
    dataset = UnpairedBlurDataset(options)
    for file in Path(options['dataroot_blur']).iterdir():
        file.unlink()
    with pytest.raises(UserError, match=r'blur/2\.png cannot be read .*is the disk still there\?$'):
        dataset[2]


# ---------------------------------------------------------------------------------------------------- BasicSR's sets


@pytest.fixture
def pairs(make_pictures: MakePictures) -> Options:
    names = [f'{i}.png' for i in range(5)]
    return {
        'name': 'train',
        'phase': 'train',
        'scale': 1,
        'dataroot_lq': str(make_pictures('lq', names, seed=1)),
        'dataroot_gt': str(make_pictures('gt', names, seed=2)),
        'io_backend': {'type': 'disk'},
        'gt_size': 32,
        'use_hflip': True,
        'use_rot': True,
    }


@pytest.mark.parametrize('kind', ['PairedImageDataset', 'PairedFolderDataset'])
@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize('side', ['lq', 'gt'])
def test_basicsrs_own_pairs(pairs: Options, kind: str, way: str, side: str) -> None:
    dataset = PositionedDataset(build_dataset(pairs | {'type': kind}))
    before = _samples(dataset, 0, 1)
    broken = Path(pairs[f'dataroot_{side}'], '3.png')
    WAYS[way](broken)
    samples = _samples(dataset, 0, 1)
    if side == 'lq':
        assert all(_same(one, other) for one, other in zip(samples, _samples(dataset, 2, 1), strict=True))
    for old, new in zip(before, samples, strict=True):
        if old['lq_path'].endswith('3.png'):
            assert not new['lq_path'].endswith('3.png')
            assert str(broken) in new['replaced']
            assert ('cannot be read as a picture' in new['replaced']) == (way != 'shrunk')
        else:
            assert _same(old, new)


def test_broken_pair_of_a_validation_is_told(pairs: Options) -> None:
    dataset = build_dataset(pairs | {'type': 'PairedFolderDataset', 'phase': 'val'})
    read_sample(dataset, 2)
    Image.open(Path(pairs['dataroot_gt'], '2.png')).resize((30, 30)).save(Path(pairs['dataroot_gt'], '2.png'))
    with pytest.raises(UserError, match=r'lq/2\.png measures 48x40, its twin .*gt/2\.png 30x30'):
        read_sample(dataset, 2)
    _delete(Path(pairs['dataroot_lq'], '1.png'))
    with pytest.raises(UserError, match=r'lq/1\.png cannot be read as a picture \(.*No such file'):
        read_sample(dataset, 1)


def test_mistake_of_a_data_set_is_no_broken_picture(pairs: Options) -> None:
    class Mistaken(Dataset[dict[str, Any]]):
        def __init__(self, error: Exception) -> None:
            self.error = error

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> dict[str, Any]:
            raise self.error

    with pytest.raises(AttributeError, match='mine'):
        PositionedDataset(Mistaken(AttributeError('mine')))[SampleKey(0, 0, 0, 0)]
    with pytest.raises(UserError, match='gone; nor can'):
        PositionedDataset(Mistaken(FileNotFoundError('gone')))[SampleKey(0, 0, 0, 0)]
    whole = build_dataset(pairs | {'type': 'PairedFolderDataset'})
    whole.opt = {key: value for key, value in whole.opt.items() if key != 'use_rot'}
    with pytest.raises(KeyError, match='use_rot'):
        PositionedDataset(whole)[SampleKey(0, 0, 0, 0)]
