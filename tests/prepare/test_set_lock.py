from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.set_lock import locked


def test_one_holds_it_at_a_time_and_nothing_is_left(tmp_path: Path) -> None:
    out = tmp_path / 'deep' / 'set'
    with locked(out):
        with pytest.raises(UserError, match='another b2b prepare is at work'), locked(out):
            pytest.fail('two are in')
        with locked(out.with_name('other')):
            pass
    with locked(out):
        pass
    assert not list((tmp_path / 'deep').iterdir())


@pytest.mark.skipif(sys.platform == 'win32', reason='an open file cannot be removed there')
def test_who_locked_a_removed_file_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    first = locked(tmp_path / 'set')
    first.__enter__()
    lock = fcntl.flock
    opened: list[int] = []

    def late(descriptor: int, operation: int) -> None:
        if not opened:  # the second has opened the file, and the first ends now
            opened.append(os.fstat(descriptor).st_ino)
            first.__exit__(None, None, None)
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, 'flock', late)
    with locked(tmp_path / 'set'):
        assert opened
        with pytest.raises(UserError, match='another b2b prepare is at work'), locked(tmp_path / 'set'):
            pytest.fail('two are in')


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match='cannot be written'), locked(tmp_path / 'file' / 'set'):
        pytest.fail('it is in')


@pytest.mark.skipif(sys.platform == 'win32', reason='symbolic links need rights there')
def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / '.set.lock').symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(UserError, match='cannot be written'), locked(tmp_path / 'set'):
        pytest.fail('it is in')
    assert not (tmp_path / 'elsewhere').exists()
