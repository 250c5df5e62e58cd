from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from basicsr.data import build_dataset
from PIL import Image

from b2b_basicsr.data.lmdb_clients import close_lmdb_clients
from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.picture_lmdb import write_picture_lmdb


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index, name in enumerate(('b/1.png', 'a/2.jpg', '3.png')):
        path = tmp_path / 'lq' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 6, 3), (index * 40, 0, 0), np.uint8)).save(path, quality=100)
    return tmp_path / 'lq'


def test_pictures_at_any_depth(folder: Path) -> None:
    section = {'type': 'SingleFolderDataset', 'dataroot_lq': str(folder), 'io_backend': {'type': 'disk'}}
    dataset = build_dataset({**section, 'name': 'test', 'phase': 'test'})
    assert [Path(sample['lq_path']).relative_to(folder).as_posix() for sample in (dataset[i] for i in range(3))] == [
        '3.png',
        'a/2.jpg',
        'b/1.png',
    ]
    assert dataset[0]['lq'].shape == (3, 4, 6)
    assert dataset[0]['lq'][0].mean() == pytest.approx(80 / 255), 'red first'


def test_a_database(folder: Path, tmp_path: Path) -> None:
    write_picture_lmdb(folder, tmp_path / 'lq.lmdb', lambda _: None)
    section = {'type': 'SingleFolderDataset', 'dataroot_lq': str(tmp_path / 'lq.lmdb'), 'io_backend': {'type': 'lmdb'}}
    dataset = build_dataset({**section, 'name': 'test', 'phase': 'test'})
    try:
        assert [dataset[index]['lq_path'] for index in range(3)] == ['3', 'a/2', 'b/1']
        assert dataset[2]['lq'].max() == 0
    finally:
        close_lmdb_clients()


def test_no_pictures(tmp_path: Path) -> None:
    section = {'type': 'SingleFolderDataset', 'dataroot_lq': str(tmp_path), 'io_backend': {'type': 'disk'}}
    with pytest.raises(UserError, match='datasets:test:dataroot_lq: no picture'):
        build_dataset({**section, 'name': 'test', 'phase': 'test'})


@pytest.mark.parametrize('kind', ['SingleFolderDataset', 'PairedFolderDataset'])
def test_a_list_of_names_is_refused_and_not_passed_over(folder: Path, kind: str) -> None:
    section = {'type': kind, 'dataroot_lq': str(folder), 'dataroot_gt': str(folder), 'io_backend': {'type': 'disk'}}
    with pytest.raises(UserError, match=f'datasets:val:meta_info_file: {kind} takes all pictures'):
        build_dataset({**section, 'name': 'test', 'phase': 'val', 'scale': 1, 'meta_info_file': 'list.txt'})
