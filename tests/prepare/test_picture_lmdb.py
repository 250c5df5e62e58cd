from __future__ import annotations

import resource
from pathlib import Path, PurePosixPath

import lmdb
import pytest
from basicsr.data.paired_image_dataset import PairedImageDataset

from b2b_basicsr.data.lmdb_clients import close_lmdb_clients
from b2b_basicsr.data.picture_source import PictureSource, matched_pairs
from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.picture_lmdb import lmdb_key, write_picture_lmdb
from tests.prepare.published_archives import blurry_frame, png, sharp_frame

NAMES = ('scene 1/v1.2/übung', 'scene 1/v1.3/übung', '100%/a.b', 'plain')


def folder_of(folder: Path, role: str) -> Path:
    make = blurry_frame if role == 'blur' else sharp_frame
    for place, name in enumerate(NAMES):
        path = folder / role / f'{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(make(place, 0, (24 + place, 16))))
    return folder / role


@pytest.mark.parametrize('name', ['a.b/c d.png', 'é/ü.jpg', 'a\nb.png', '\udcff.png', '100%.png', 'x/.y.png'])
def test_keys_are_ascii_without_dot_or_space(name: str) -> None:
    key = lmdb_key(PurePosixPath(name))
    assert key.isascii()
    assert not set(key) & set('. \n')


def test_different_names_have_different_keys() -> None:
    names = ('a.b', 'a%2Eb', 'a%252Eb', 'a b', 'a+b', 'a/b', 'a%2Fb')
    assert len({lmdb_key(PurePosixPath(f'{name}.png')) for name in names}) == len(names)


def test_values_are_the_files_bytes_and_pairs_match(tmp_path: Path) -> None:
    sources = []
    for role in ('blur', 'sharp'):
        folder = folder_of(tmp_path, role)
        told: list[int] = []
        write_picture_lmdb(folder, tmp_path / f'{role}.lmdb', told.append)
        assert sum(told) == sum(path.stat().st_size for path in folder.rglob('*.png'))
        sources.append(PictureSource(f'datasets:train:{role}', str(tmp_path / f'{role}.lmdb'), {'type': 'lmdb'}))
    assert len(matched_pairs(*sources)) == len(NAMES)
    by_key = {lmdb_key(PurePosixPath(f'{name}.png')): tmp_path / 'blur' / f'{name}.png' for name in NAMES}
    close_lmdb_clients()
    with lmdb.open(str(tmp_path / 'blur.lmdb'), readonly=True) as environment, environment.begin() as transaction:
        held = {bytes(key).decode('ascii'): bytes(value) for key, value in transaction.cursor()}
    assert held == {key: path.read_bytes() for key, path in by_key.items()}
    assert [sources[0].read(index).size[0] for index in range(len(sources[0]))] == [26, 27, 24, 25]
    assert 'plain.png (16,27,3) 1\n' in (tmp_path / 'blur.lmdb' / 'meta_info.txt').read_text()
    assert {path.name for path in (tmp_path / 'blur.lmdb').iterdir()} == {'data.mdb', 'lock.mdb', 'meta_info.txt'}
    close_lmdb_clients()


def test_basicsrs_own_paired_data_set_reads_it(tmp_path: Path) -> None:
    for role in ('blur', 'sharp'):
        write_picture_lmdb(folder_of(tmp_path, role), tmp_path / f'{role}.lmdb', lambda _: None)
    data_set = PairedImageDataset(
        {
            'dataroot_lq': str(tmp_path / 'blur.lmdb'),
            'dataroot_gt': str(tmp_path / 'sharp.lmdb'),
            'io_backend': {'type': 'lmdb'},
            'phase': 'val',
            'scale': 1,
        }
    )
    shapes = {data_set[index]['lq_path']: tuple(data_set[index]['gt'].shape) for index in range(len(data_set))}
    assert shapes == {lmdb_key(PurePosixPath(f'{name}.png')): (3, 16, 24 + place) for place, name in enumerate(NAMES)}


def test_names_that_differ_in_their_extension_alone_are_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 'blur')
    (folder / 'plain.bmp').write_bytes((folder / 'plain.png').read_bytes())
    with pytest.raises(UserError, match='extension alone'):
        write_picture_lmdb(folder, tmp_path / 'blur.lmdb', lambda _: None)
    assert not (tmp_path / 'blur.lmdb').exists()


def test_a_key_too_long_is_named() -> None:
    with pytest.raises(UserError, match='612 characters, 511 is the most'):
        lmdb_key(PurePosixPath(f'{"é" * 102}.png'))


def test_a_database_that_cannot_grow_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / 'blur'
    folder.mkdir()
    for place in range(20):
        (folder / f'{place}.png').write_bytes(png(sharp_frame(place, 0, (200, 150))))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(UserError, match='cannot be written'):
            write_picture_lmdb(folder, tmp_path / 'blur.lmdb', lambda _: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / 'blur.lmdb').exists()


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 'blur')
    (folder / 'spoilt.png').write_bytes(b'no picture')
    with pytest.raises(UserError, match=r'spoilt\.png: cannot be read as a picture'):
        write_picture_lmdb(folder, tmp_path / 'blur.lmdb', lambda _: None)
    assert not (tmp_path / 'blur.lmdb').exists()
