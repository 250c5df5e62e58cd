"""What BasicSR's data sets would die of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from basicsr.data import build_dataset
from basicsr.utils.lmdb_util import make_lmdb_from_imgs
from PIL import Image

from b2b_basicsr.checks.data_check import check_databases, check_dataset
from b2b_basicsr.errors import UserError

Section = dict[str, Any]


@pytest.fixture
def section(tmp_path: Path) -> Section:
    """Three pairs in two folders."""
    for folder in ('lq', 'gt'):
        (tmp_path / folder).mkdir()
        for index in range(3):
            Image.fromarray(np.full((8, 9, 3), index, np.uint8)).save(tmp_path / folder / f'{index}.png')
    roots = {'dataroot_lq': str(tmp_path / 'lq'), 'dataroot_gt': str(tmp_path / 'gt')}
    return {'name': 'x', 'type': 'PairedImageDataset', 'phase': 'val', 'io_backend': {'type': 'disk'}, **roots}


def _refused(section: Section, phase: str = 'val') -> str:
    with pytest.raises(UserError) as said:
        check_dataset(phase, section, True)
    return str(said.value)


@pytest.mark.parametrize(
    'template', ['{}{}', '{x}', '{', '{:>999999999999999}', 'blur', '{0}', '{}}', '{{}}', '{.__class__}', '{}{{}']
)
def test_templates_that_cannot_be_filled_are_refused(section: Section, template: str) -> None:
    said = _refused({**section, 'filename_tmpl': template})
    assert said.startswith(f'datasets:val:filename_tmpl: {template!r}: must hold {{}} once')


def test_templates_that_can_be_filled(section: Section, tmp_path: Path) -> None:
    for path in [*(tmp_path / 'lq').iterdir()]:
        path.rename(path.with_name(f'{path.stem}_blur.png'))
    good = {**section, 'filename_tmpl': '{}_blur'}
    check_dataset('val', good, True)
    assert len(build_dataset(good)) == 3


def test_list_that_is_no_text_or_has_a_line_without_a_name(section: Section, tmp_path: Path) -> None:
    listed = tmp_path / 'list.txt'
    section['meta_info_file'] = str(listed)
    listed.write_bytes(b'\xff\xfe0.png\n')
    assert _refused(section).startswith(f"datasets:val:meta_info_file: '{listed}' cannot be read as text")
    single = {**section, 'type': 'SingleImageDataset'}
    for lines, number in (('0.png\n\n1.png\n', 2), ('0.png\n1.png\n\n', 3), ('  \n', 1)):
        listed.write_text(lines)
        for one in (section, single):
            assert f'meta_info_file: {listed}, line {number}: begins with no name' in _refused(one)
    listed.write_text(' 0.png (8,9,3)\n')
    check_dataset('val', dict(section), True)
    assert f'{listed}, line 1' in _refused(single)
    listed.write_text('0.png (8,9,3)\n1.png\n')
    for one in (section, single):
        check_dataset('val', one, True)
        assert len(build_dataset(one)) == 2


def test_no_list_is_the_whole_folder(section: Section) -> None:
    for kind in ('PairedImageDataset', 'SingleImageDataset'):
        one = {**section, 'type': kind, 'meta_info_file': None}
        check_dataset('val', one, True)
        assert len(build_dataset(one)) == 3


@pytest.mark.parametrize('kind', ['PairedImageDataset', 'SingleImageDataset'])
def test_files_that_are_no_pictures_are_refused_by_name(section: Section, tmp_path: Path, kind: str) -> None:
    section['type'] = kind
    for name in ('Thumbs.db', '3.jpe', 'line\nbreak'):
        stray = tmp_path / 'lq' / name
        stray.write_bytes(b'')
        said = _refused(section)
        shown = name.replace('\n', r'\n')
        assert said.startswith(f'datasets:val:dataroot_lq: {tmp_path}/lq/{shown} is no picture by its name'), said
        ours = kind.replace('Image', 'Folder')
        assert said.endswith(f'{kind} takes every file of the folder; take it out, or use type: {ours}')
        check_dataset('val', {**section, 'type': ours}, True)
        stray.unlink()
    (tmp_path / 'lq' / '.hidden').write_bytes(b'')
    (tmp_path / 'lq' / 'notes').mkdir()
    check_dataset('val', section, True)
    assert len(build_dataset(section)) == 3


def test_links_that_lead_to_nothing_are_refused_by_name(section: Section, tmp_path: Path) -> None:
    for folder in ('lq', 'gt'):
        (tmp_path / folder / 'x.png').symlink_to('nowhere')
    assert f'{tmp_path}/lq/x.png is no file, nor a link to one' in _refused(section)
    for folder in ('lq', 'gt'):
        (tmp_path / folder / 'x.png').unlink()
        (tmp_path / folder / 'x.png').symlink_to('x.png')
    assert f'{tmp_path}/lq/x.png cannot be looked at' in _refused(section)


def test_old_names_are_refused_where_pictures_are_written_under_them(section: Section, tmp_path: Path) -> None:
    try:
        for folder in ('lq', 'gt'):
            Image.new('RGB', (9, 8)).save((tmp_path / folder / 'caf\udce9.png').open('wb'), 'PNG')
    except OSError:
        pytest.skip('the file system takes no such name')
    for kind in ('PairedImageDataset', 'PairedFolderDataset'):
        assert 'is no name in UTF-8' in _refused({**section, 'type': kind})
        train = {**section, 'type': kind, 'phase': 'train', 'gt_size': 8}
        check_dataset('train', train, True)
        dataset = build_dataset(train)
        assert {tuple(dataset[index]['lq'].shape) for index in range(4)} == {(3, 8, 8)}


@pytest.fixture
def packed(section: Section, tmp_path: Path) -> Section:
    names = [f'{index}.png' for index in range(3)]
    for side in ('lq', 'gt'):
        make_lmdb_from_imgs(
            str(tmp_path / side), str(tmp_path / f'{side}.lmdb'), names, ['0', '1', '2'], map_size=2**20
        )
        section[f'dataroot_{side}'] = str(tmp_path / f'{side}.lmdb')
    section['io_backend'] = {'type': 'lmdb'}
    return section


def test_database_that_basicsr_would_open_twice_is_refused(packed: Section, tmp_path: Path) -> None:
    twin = {**packed, 'io_backend': {'type': 'lmdb'}}
    with pytest.raises(UserError) as said:
        check_databases({'train': packed, 'val': twin})
    assert str(said.value) == (
        f'datasets:val:dataroot_gt: {tmp_path}/gt.lmdb is the LMDB of datasets:train:dataroot_gt, too, and '
        'PairedImageDataset cannot share one; use type: PairedFolderDataset'
    )
    ours = {**twin, 'type': 'PairedFolderDataset', 'dataroot_gt': f'{tmp_path}/./gt.lmdb'}
    with pytest.raises(UserError, match='type: PairedFolderDataset'):
        check_databases({'train': ours, 'val': packed})
    check_databases({'train': {**ours, 'phase': 'train'}, 'val': ours})
    disk = {'type': 'disk'}
    check_databases({'train': {**packed, 'io_backend': disk}, 'val': {**twin, 'io_backend': disk}})


def test_database_of_both_sides_is_refused_and_our_type_reads_it(packed: Section) -> None:
    both = {**packed, 'dataroot_gt': packed['dataroot_lq'], 'scale': 1}
    with pytest.raises(UserError, match=r'datasets:val:dataroot_lq: .* is the LMDB of datasets:val:dataroot_gt, too'):
        check_databases({'val': both})
    ours = [build_dataset({**both, 'type': 'PairedFolderDataset', 'io_backend': {'type': 'lmdb'}}) for _ in range(2)]
    assert [dataset[0]['lq'].shape for dataset in ours] == [(3, 8, 9)] * 2


def test_databases_are_looked_at_with_the_rest(
    packed: Section,
    options: Section,
    told: Callable[[Section], str],
) -> None:
    options['datasets']['val'] = {**packed, 'name': 'test'}
    options['datasets']['val_2'] = {**packed, 'name': 'again'}
    for name in ('val', 'val_2'):
        del options['datasets'][name]['phase']
    assert 'datasets:val_2:dataroot_gt' in told(options)
