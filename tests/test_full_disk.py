"""A training on a disk with too little room, from outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.checks.conftest import data, options, write  # noqa: F401  fixtures
from tests.compat.conftest import Script, run_python  # noqa: F401

RUN = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
runpy.run_module('basicsr.train', run_name='__main__')
"""


@pytest.mark.slow
def test_no_room_for_a_checkpoint_or_for_the_log(
    options: dict[str, Any],  # noqa: F811
    write: Callable[[dict[str, Any]], Path],  # noqa: F811
    run_python: Script,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Files of at most 12 KB: the log ends first, and a checkpoint of G does not fit."""
    options['logger'] |= {'use_tb_logger': False, 'save_checkpoint_freq': 4}
    done = run_python('-c', RUN, 12_000, '-opt', write(options))
    assert done.returncode == 2
    assert 'Traceback' not in done.stderr
    assert 'Logging error' not in done.stderr
    assert done.stderr.count('the training goes on, and so does its log when it can') == 1
    last = done.stderr.splitlines()[-1]
    experiment = tmp_path / 'experiments' / 'tiny'
    assert last.startswith(f'error: {experiment / "models" / "net_g_4.pth"}: cannot be written: a file there may not')
    assert last.endswith('no whole state was saved before: make room, and start again')
    assert [path.name for path in (experiment / 'models').iterdir()] == []
