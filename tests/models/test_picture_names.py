from __future__ import annotations

from pathlib import Path

from b2b_basicsr.models.picture_names import PictureNames


def test_folders_and_extensions_tell_pictures_apart(tmp_path: Path) -> None:
    names = PictureNames(str(tmp_path))
    paths = ['a/0.png', 'b/0.png', 'b/0.jpg', 'a/0.png', '0.png']
    assert [names.of(str(tmp_path / path)) for path in paths] == ['a/0', 'b/0', 'b/0.jpg', 'a/0', '0']


def test_relative_root_and_lmdb_keys(tmp_path: Path) -> None:
    assert PictureNames('set').of('set/a/0.png') == 'a/0'
    assert PictureNames(str(tmp_path / 'set.lmdb')).of('a/0') == 'a/0'


def test_pictures_outside_the_root_stay_inside_the_results(tmp_path: Path) -> None:
    assert PictureNames(str(tmp_path / 'set')).of(str(tmp_path / 'elsewhere' / '0.png')) == '0'
