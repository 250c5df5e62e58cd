"""Pictures counted."""

from __future__ import annotations

from pathlib import Path

import lmdb
import numpy as np
import pytest
from basicsr.utils.lmdb_util import make_lmdb_from_imgs
from PIL import Image

from b2b_basicsr.errors import UserError
from b2b_basicsr.trial.picture_census import CountedSet, count_pictures, tell_all

DISK = {'type': 'disk'}


def _pictures(folder: Path, **sizes: tuple[int, int]) -> Path:
    for name, size in sizes.items():
        path = folder / f'{name.replace("__", "/")}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise(size, 50).convert('RGB').save(path)
    return folder


def test_what_is_told_of_a_set(tmp_path: Path) -> None:
    root = _pictures(tmp_path / 'B', a__0=(48, 40), a__1=(64, 40), b__0=(40, 40))
    Image.new('RGB', (44, 44)).save(root / 'b' / '1.JPG')
    (counted,) = count_pictures(
        {'val': {'type': 'SingleFolderDataset', 'name': 'x', 'dataroot_lq': str(root), 'io_backend': DISK}}
    )['val']
    assert (counted.smallest, counted.largest, counted.folders) == ((40, 40), (64, 40), 2)
    assert counted.kinds == {'png': 3, 'jpg': 1}
    assert counted.sizes_by_place[str(root / 'b' / '1.JPG')] == (44, 44)
    other = CountedSet('k', 'r', ('b/1', 'c'), ((1, 1), (1, 1)), 'lmdb', ('b/1', 'c'))
    assert counted.names_shared_with(other) == 1
    assert other.kinds == {'lmdb': 2}


def test_only_listed_pictures_are_opened(tmp_path: Path) -> None:
    lq, gt = (_pictures(tmp_path / name, **{'0': (8, 8), '1': (8, 8)}) for name in ('lq', 'gt'))
    (lq / '0.png').write_bytes(b'')
    listed = tmp_path / 'list.txt'
    listed.write_text('1.png (8,8,3)\n')
    section = {
        **{'type': 'PairedImageDataset', 'name': 'x', 'dataroot_lq': str(lq), 'dataroot_gt': str(gt)},
        **{'io_backend': DISK, 'phase': 'val', 'scale': 1},
    }
    counted = count_pictures({'val': {**section, 'meta_info_file': str(listed)}})['val']
    assert [found.names for found in counted] == [('1.png',), ('1.png',)]
    with pytest.raises(UserError, match='1 of 4 pictures cannot be read'):
        count_pictures({'val': section})


def test_broken_picture_in_an_lmdb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = _pictures(tmp_path / 'lq', **{'0': (64, 64), '1': (64, 64)})
    database = tmp_path / 'lq.lmdb'
    make_lmdb_from_imgs(str(root), str(database), ['0.png', '1.png'], ['0', '1'])
    with lmdb.open(str(database), map_size=2**20) as environment, environment.begin(write=True) as transaction:
        transaction.put(b'1', np.arange(50, dtype=np.uint8).tobytes())
    section = {'type': 'SingleImageDataset', 'name': 'x', 'dataroot_lq': str(database), 'io_backend': {'type': 'lmdb'}}
    with pytest.raises(UserError, match='1 of 2 pictures cannot be read'):
        count_pictures({'test_1': section})
    assert f'datasets:test_1:dataroot_lq: {database}/1 cannot be read as a picture' in capsys.readouterr().err


def test_sets_that_nobody_knows_are_not_opened() -> None:
    assert count_pictures({'val': {'type': 'REDSDataset'}}) == {'val': []}


def test_the_first_twenty_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    tell_all([None, 3], 'pictures', 'cannot be read')
    with pytest.raises(UserError, match='22 of 23 pictures cannot be read'):
        tell_all([None, *(UserError(f'picture {index}') for index in range(22))], 'pictures', 'cannot be read')
    lines = capsys.readouterr().err.splitlines()
    assert lines == [*(f'picture {index}' for index in range(20)), 'and 2 more']


def test_names_are_told_printable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match='1 of 1 pictures cannot be read'):
        tell_all([UserError('a\x1b[31m\nb.png')], 'pictures', 'cannot be read')
    assert capsys.readouterr().err == 'a\\x1b[31m\\nb.png\n'
