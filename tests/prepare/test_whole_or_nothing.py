from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from filelock import FileLock

from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.whole_or_nothing import MANIFEST, whole_or_nothing


def build(out: Path, content: str, force: bool = False) -> None:
    with whole_or_nothing(out, force) as partial:
        (partial / 'picture').write_text(content)
        (partial / MANIFEST).write_text('{}')


def fail_while_building(out: Path, force: bool, failure: BaseException) -> None:
    with whole_or_nothing(out, force) as partial:
        (partial / 'picture').write_text('new')
        raise failure


def left(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*'))


def test_a_folder_appears_whole_and_nothing_beside_it(tmp_path: Path) -> None:
    with whole_or_nothing(tmp_path / 'deep' / 'set', force=False) as partial:
        assert not (tmp_path / 'deep' / 'set').exists()
        (partial / MANIFEST).write_text('{}')
    assert left(tmp_path) == ['deep', 'deep/set', f'deep/set/{MANIFEST}']


@pytest.mark.parametrize(
    ('failure', 'raised', 'said'),
    [
        (UserError('picture 3 is broken'), UserError, 'picture 3 is broken; nothing of it was kept'),
        (OSError(errno.ENOSPC, 'No space left on device'), UserError, r'the disk is full.*free space.*nothing of it'),
        (OSError(errno.EACCES, 'Permission denied', 'x/y'), UserError, 'at x/y .Permission denied.'),
        (KeyboardInterrupt(), KeyboardInterrupt, ''),
        (RuntimeError('our own bug'), RuntimeError, 'our own bug'),
    ],
)
def test_a_failure_leaves_nothing_and_the_old_set_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], failure: BaseException, raised: type[BaseException], said: str
) -> None:
    build(tmp_path / 'set', 'old')
    for out, force in ((tmp_path / 'other', False), (tmp_path / 'set', True)):
        with pytest.raises(raised, match=said or None):
            fail_while_building(out, force, failure)
    assert left(tmp_path) == ['set', 'set/picture', f'set/{MANIFEST}']
    assert (tmp_path / 'set' / 'picture').read_text() == 'old'
    if not isinstance(failure, (UserError, OSError)):
        assert 'stopped; nothing of it was kept' in capsys.readouterr().err


def test_what_is_there_is_replaced_only_by_force_and_only_if_we_made_it(tmp_path: Path) -> None:
    out = tmp_path / 'set'
    out.mkdir()
    build(out, 'into an empty folder')
    with pytest.raises(UserError, match='--force'):
        build(out, 'new')
    build(out, 'new', force=True)
    assert (out / 'picture').read_text() == 'new'
    assert left(tmp_path) == ['set', 'set/picture', f'set/{MANIFEST}']
    (out / MANIFEST).unlink()
    with pytest.raises(UserError, match='not made by b2b prepare'):
        build(out, 'newer', force=True)
    assert (out / 'picture').read_text() == 'new'


def test_a_link_is_never_replaced(tmp_path: Path) -> None:
    build(tmp_path / 'precious', 'precious')
    (tmp_path / 'set').symlink_to(tmp_path / 'precious')
    with pytest.raises(UserError, match='not made by b2b prepare'):
        build(tmp_path / 'set', 'new', force=True)
    assert (tmp_path / 'precious' / 'picture').read_text() == 'precious'


def test_what_a_killed_run_left_is_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = os.fork()
    if process == 0:  # dies inside, as by kill -9
        with whole_or_nothing(tmp_path / 'set', force=False) as partial:
            (partial / 'picture').write_text('half')
            os._exit(9)
    os.waitpid(process, 0)
    assert (tmp_path / '.set.partial' / 'picture').is_file()
    build(tmp_path / 'set', 'whole')
    assert 'left behind by an interrupted run; removed' in capsys.readouterr().err
    assert left(tmp_path) == ['set', 'set/picture', f'set/{MANIFEST}']


@pytest.mark.parametrize('new_in_place', [False, True])
def test_a_run_killed_while_replacing_loses_nothing(tmp_path: Path, new_in_place: bool) -> None:
    build(tmp_path / 'set', 'old')
    (tmp_path / 'set').rename(tmp_path / '.set.old')
    if new_in_place:
        build_beside = tmp_path / 'new'
        build(build_beside, 'new')
        build_beside.rename(tmp_path / 'set')
    with pytest.raises(UserError, match='is there already'):
        build(tmp_path / 'set', 'newer')
    assert (tmp_path / 'set' / 'picture').read_text() == ('new' if new_in_place else 'old')
    assert not (tmp_path / '.set.old').exists()


def test_a_strangers_folder_in_the_way_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / '.set.partial').mkdir()
    (tmp_path / '.set.partial' / 'mine').touch()
    with pytest.raises(UserError, match='is in the way'):
        build(tmp_path / 'set', 'new')
    assert (tmp_path / '.set.partial' / 'mine').exists()


def test_two_runs_do_not_build_one_set(tmp_path: Path) -> None:
    with FileLock(tmp_path / '.set.lock'), pytest.raises(UserError, match='another b2b prepare is at work'):
        build(tmp_path / 'set', 'new')
    build(tmp_path / 'set', 'new')
