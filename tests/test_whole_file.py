from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from b2b_basicsr import whole_file as module
from b2b_basicsr.whole_file import clear_leftovers, remove_unfinished, whole_file

# The module alone, by its path: importing the package would take seconds.
WRITES_FOR_EVER = """
import importlib.util, sys, time
from pathlib import Path
spec = importlib.util.spec_from_file_location('whole_file', sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
with module.whole_file(Path(sys.argv[2])) as temporary:
    temporary.write_bytes(b'half')
    print('half', flush=True)
    time.sleep(60)
"""


def test_it_appears_whole_and_replaces_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / 'deep' / 'out.png'
    for content in (b'first', b'second'):
        with whole_file(out) as temporary:
            assert temporary.suffix == '.png'
            temporary.write_bytes(content)
            assert not out.exists() or out.read_bytes() != content
        assert out.read_bytes() == content
    assert [path.name for path in out.parent.iterdir()] == ['out.png']
    mask = os.umask(0)
    os.umask(mask)
    assert out.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_link_in_the_way_is_replaced_not_written_through(tmp_path: Path) -> None:
    (tmp_path / 'precious').write_text('kept')
    (tmp_path / 'out').symlink_to('precious')
    with whole_file(tmp_path / 'out') as temporary:
        temporary.write_text('new')
    assert (tmp_path / 'precious').read_text() == 'kept'
    assert (tmp_path / 'out').read_text() == 'new'


@pytest.mark.parametrize('cause', [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(tmp_path: Path, cause: type[BaseException]) -> None:
    (tmp_path / 'out').write_text('old')

    def write_and_fail() -> None:
        with whole_file(tmp_path / 'out') as temporary:
            temporary.write_text('half')
            raise cause

    with pytest.raises(cause):
        write_and_fail()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {'out': 'old'}


def test_a_killed_run_leaves_no_half_file_and_the_next_one_clears_up(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, '-c', WRITES_FOR_EVER, str(module.__file__), str(tmp_path / 'out.png')],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b'half\n'
    clear_leftovers(tmp_path)
    (temporary,) = tmp_path.iterdir()  # of a run at work, so it stays
    assert temporary.name.startswith('.')
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not (tmp_path / 'out.png').exists()
    clear_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())
    clear_leftovers(tmp_path / 'nowhere')


def test_only_the_files_of_the_thread_that_is_given_up_go(tmp_path: Path) -> None:
    opened, given_up = threading.Event(), threading.Event()

    def write() -> None:
        with contextlib.suppress(FileNotFoundError), whole_file(tmp_path / 'theirs'):
            opened.set()
            given_up.wait(10)

    thread = threading.Thread(target=write)
    thread.start()
    assert opened.wait(10)
    assert thread.ident is not None
    with whole_file(tmp_path / 'ours') as temporary:
        assert len(list(tmp_path.iterdir())) == 2
        remove_unfinished(thread.ident)
        assert list(tmp_path.iterdir()) == [temporary]
    given_up.set()
    thread.join()
    assert [path.name for path in tmp_path.iterdir()] == ['ours']
