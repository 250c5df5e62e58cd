from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import click
import pytest

from b2b_basicsr.commands.cli import b2b
from benchmarks.on_gpu import Job, gpu_jobs, run_jobs, tiny_jobs

RESULT = {
    'title': 'A bench',
    'command': 'b2b bench train --json',
    'machine': {'processor': 'Some', 'gpu': 'Any', 'date': '2026-01-02'},
    'tables': [{'caption': 'Times', 'rows': [{'form': 'plain', 's': 1.5}, {'form': 'bf16', 's': None}]}],
}


def job(name: str, program: str, limit: float = 20) -> Job:
    return Job(name, (sys.executable, '-c', program), limit)


def test_each_result_is_written_whatever_becomes_of_the_others(tmp_path: Path) -> None:
    pid = tmp_path / 'pid'
    # It starts a process of its own, which must end, too, though it holds the pipe.
    hangs = (
        'import subprocess, sys, time; print("before", flush=True); '
        f'child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]); '
        f'open({str(pid)!r}, "w").write(str(child.pid)); time.sleep(60)'
    )
    jobs = [
        job('good', f'print("said"); print({json.dumps(RESULT)!r})'),
        job('fails', 'import sys; print("why", file=sys.stderr); sys.exit(3)'),
        job('says nothing', 'print("no JSON")'),
        job('hangs', hangs, limit=2),
        job('too late', 'print(1)'),
    ]
    start = time.monotonic()
    outcomes = run_jobs(jobs[:4], tmp_path, limit=60)
    assert time.monotonic() - start < 30
    states = [outcome.state for outcome in outcomes]
    assert states == ['done', 'failed: exit status 3', 'failed: no JSON', 'stopped after 2 s']
    assert [outcome.result for outcome in outcomes] == [RESULT, None, None, None]
    assert _has_ended(int(pid.read_text()))

    written = json.loads((tmp_path / 'results.json').read_text())
    assert [(one['name'], one['state']) for one in written] == [
        (one.name, state) for one, state in zip(jobs, states, strict=False)
    ]
    assert written[0]['result'] == RESULT
    text = (tmp_path / 'results.md').read_text()
    assert '`b2b bench train --json`, 2026-01-02, on Some, gpu Any:' in text
    assert '| bf16' in text
    assert '| hangs' in text
    log = (tmp_path / 'log.txt').read_text()
    assert all(word in log for word in ('said', 'why', 'no JSON', 'before'))

    (late,) = run_jobs(jobs[4:], tmp_path, limit=0)
    assert late.state == 'not run: no time left'


def _has_ended(pid: int) -> bool:
    for _ in range(100):
        try:
            os.kill(pid, 0)
            if 'Z' in Path(f'/proc/{pid}/stat').read_text().split()[2]:  # nobody has asked after it
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize('jobs', [gpu_jobs(), tiny_jobs()], ids=['gpu', 'tiny'])
def test_the_benches_have_these_options(jobs: list[Job]) -> None:
    for one in jobs:
        python, flag, package, *words = one.command
        assert (python, flag, package) == (sys.executable, '-m', 'b2b_basicsr')
        command: click.Command = b2b
        context = None
        while isinstance(command, click.Group):
            context = command.make_context(words[0], [], parent=context, resilient_parsing=True)
            command = command.commands[words.pop(0)]
        parsed = command.make_context(command.name or '', words, parent=context)
        assert parsed.params['as_json'] is True


def test_the_most_important_jobs_fit_their_time() -> None:
    jobs = gpu_jobs()
    assert sum(one.limit for one in jobs[:5]) <= 570  # a training step, restoring, and growth with the batch
