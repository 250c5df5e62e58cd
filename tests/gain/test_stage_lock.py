from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from b2b_basicsr.gain.stage_lock import stage_lock

pytestmark = pytest.mark.skipif(sys.platform == 'win32', reason='files are not handed on there')


def test_is_held_as_long_as_a_process_that_was_given_it_lives(tmp_path: Path) -> None:
    lock = tmp_path / 'locks' / 'deblur.lock'
    waited: list[str] = []
    with stage_lock(lock, lambda: waited.append('first')) as held:
        # As a training whose `b2b bench gain` is killed: this block ends, and it does not.
        heir = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE, pass_fds=held)
    assert heir.stdin is not None

    def heir_ends() -> None:
        waited.append('second')
        assert heir.poll() is None
        heir.stdin.close()  # type: ignore[union-attr]

    with stage_lock(lock, heir_ends):
        assert heir.wait(timeout=20) is not None
    assert waited == ['second']
    with stage_lock(lock, lambda: waited.append('third')):
        assert waited == ['second']
