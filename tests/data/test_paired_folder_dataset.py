from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from basicsr.data import build_dataset
from basicsr.utils.lmdb_util import make_lmdb_from_imgs
from torch.utils.data import DataLoader

from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.errors import UserError


def test_pairs_at_any_depth(make_pictures: Callable[..., Path]) -> None:
    options: dict[str, Any] = {
        'type': 'PairedFolderDataset',
        'name': 'test',
        'phase': 'val',
        'scale': 1,
        'dataroot_lq': str(make_pictures('lq', ['a/0.png', 'b/0.png'], seed=1)),
        'dataroot_gt': str(make_pictures('gt', ['a/0.jpg', 'b/0.jpg'], seed=1)),
        'io_backend': {'type': 'disk'},
    }
    dataset = build_dataset(options)
    assert len(dataset) == 2
    sample = dataset[1]
    assert sample['lq_path'].endswith('lq/b/0.png')
    assert sample['gt_path'].endswith('gt/b/0.jpg')
    assert sample['lq'].shape == sample['gt'].shape == (3, 40, 48)
    Path(options['dataroot_gt'], 'b/0.jpg').unlink()
    with pytest.raises(UserError, match=r'dataroot_lq: 1 of 2 pictures have no twin'):
        build_dataset(options)


def _paired(make_pictures: Callable[..., Path], **options: Any) -> dict[str, Any]:
    """The same pictures on both sides, under names that an LMDB's keys must escape."""
    names = ['a%2Eb/00%20.png', 'c/0.png', 'c/1.png']
    roots = {key: str(make_pictures(key, names, size=(60, 50), seed=1)) for key in ('lq', 'gt')}
    return {
        **{'type': 'PairedFolderDataset', 'name': 'pairs', 'phase': 'val', 'scale': 1, 'io_backend': {'type': 'disk'}},
        **{'dataroot_lq': roots['lq'], 'dataroot_gt': roots['gt']},
        **options,
    }


def _pack(root: str, names: list[str]) -> str:
    make_lmdb_from_imgs(root, f'{root}.lmdb', names, [name.removesuffix('.png') for name in names], map_size=2**24)
    return f'{root}.lmdb'


@pytest.mark.parametrize('workers', [0, 2])
def test_lmdb_gives_what_the_files_hold(make_pictures: Callable[..., Path], workers: int) -> None:
    options = _paired(make_pictures)
    files = build_dataset(options)
    names = ['c/1.png', 'a%2Eb/00%20.png', 'c/0.png']
    packed = {key: _pack(options[key], names) for key in ('dataroot_lq', 'dataroot_gt')}
    dataset = build_dataset({**options, **packed, 'io_backend': {'type': 'lmdb'}})
    assert dataset[0]['gt'].shape == (3, 50, 60)  # open here, before the workers are made
    # Another set may have the same database open in this process.
    PictureSource('key', packed['dataroot_lq'], {'type': 'lmdb'}).read(0)
    samples = list(DataLoader(dataset, batch_size=None, num_workers=workers))
    assert [sample['lq_path'] for sample in samples] == ['a%2Eb/00%20', 'c/0', 'c/1']
    assert [sample['gt_path'] for sample in samples] == ['a%2Eb/00%20', 'c/0', 'c/1']
    for sample, file in zip(samples, files, strict=True):
        assert torch.equal(sample['lq'], file['lq'])
        assert torch.equal(sample['gt'], file['gt'])


def test_lmdb_without_a_twin(make_pictures: Callable[..., Path]) -> None:
    options = _paired(make_pictures)
    packed = {
        'dataroot_lq': _pack(options['dataroot_lq'], ['c/0.png', 'c/1.png']),
        'dataroot_gt': _pack(options['dataroot_gt'], ['c/0.png']),
    }
    with pytest.raises(UserError, match=r'val:dataroot_lq: 1 of 2 pictures have no twin .* the first is c/1'):
        build_dataset({**options, **packed, 'io_backend': {'type': 'lmdb'}})


@pytest.mark.parametrize('lmdb', [False, True])
def test_training_crops_and_flips_both_alike(make_pictures: Callable[..., Path], lmdb: bool) -> None:
    options = _paired(make_pictures, phase='train', gt_size=24, use_hflip=True, use_rot=True)
    if lmdb:
        options['io_backend'] = {'type': 'lmdb'}
        for key in ('dataroot_lq', 'dataroot_gt'):
            options[key] = _pack(options[key], ['c/0.png'])
    dataset = build_dataset(options)
    random.seed(0)
    samples = [dataset[0] for _ in range(12)]
    for sample in samples:
        assert sample['lq'].shape == (3, 24, 24)
        assert torch.equal(sample['lq'], sample['gt'])
    assert len({sample['lq'].numpy().tobytes() for sample in samples}) > 6
