from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from b2b_basicsr.stage_process import StageError, run_stage

_PROGRAM = """
import signal, sys, time
print('INFO: [x][epoch:  0, iter:      20, lr:(1.0e-04,)] l: 1', flush=True)
def stop(number, frame):
    print('saved ' + 'x' * 100_000, flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
print('arguments:', sys.argv[1:], flush=True)
if 'waits' in sys.argv[-1] or 'waits' in sys.argv[-2]:
    open('ready', 'w').close()
    time.sleep(60)
if 'fails' in sys.argv[-1]:
    sys.exit('it broke')
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a program of the test's own stands in for `python -m b2b_basicsr`."""
    program = tmp_path / 'program.py'
    program.write_text(_PROGRAM)
    interpreter = tmp_path / 'python'
    interpreter.write_text(f'#!/bin/sh\nshift 3\nexec {sys.executable} {program} "$@"\n')
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, 'executable', str(interpreter))
    return tmp_path


def _run(folder: Path, name: str, resumes: bool = False) -> str:
    log = folder / 'logs' / 'x.txt'
    run_stage('train', Path(name), folder, title='deblur', iterations=20, log=log, resumes=resumes)
    return log.read_text()


def test_a_log_is_kept_and_goes_on_where_the_training_does(folder: Path) -> None:
    first = _run(folder, 'x.yml')
    assert "arguments: ['train', '-opt', 'x.yml']" in first
    both = _run(folder, 'x.yml', resumes=True)
    assert both.startswith(first)
    assert "'x.yml', '--auto_resume']" in both


def test_an_error_names_the_log(folder: Path) -> None:
    with pytest.raises(StageError, match=r'deblur ended with status 1: it broke \(all of it: .*x\.txt\)'):
        _run(folder, 'fails.yml')


@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_ctrl_c_is_handed_on_and_the_end_waited_for(folder: Path) -> None:
    def interrupt() -> None:
        while not (folder / 'ready').exists():
            done.wait(0.05)
            if done.is_set():
                return
        os.kill(os.getpid(), signal.SIGINT)

    done = threading.Event()
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            _run(folder, 'waits.yml')
    finally:
        done.set()
        thread.join()
    assert 'saved xxx' in (folder / 'logs' / 'x.txt').read_text()
