from __future__ import annotations

import json
import os
import re
import shlex
import sys
import time
from itertools import pairwise
from pathlib import Path

import click
import pytest

from b2b_basicsr.commands.cli import b2b
from benchmarks import amp_curves, on_gpu
from benchmarks.on_gpu import LIMIT, Job, chosen, gpu_jobs, run_jobs, tiny_jobs

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
    said = f'print({json.dumps(RESULT)!r})'
    # It starts a process of its own, which must end, too; and it was about to say more.
    hangs = (
        f'import subprocess, sys, time; {said}; print("{{", end="", flush=True); '
        f'child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]); '
        f'open({str(pid)!r}, "w").write(str(child.pid)); time.sleep(60)'
    )
    jobs = [
        job('good', f'print("said"); {said}'),
        job('fails', 'import sys; print("why", file=sys.stderr); sys.exit(3)'),
        job('says nothing', 'print("no JSON")'),
        job('says something else', 'print({})'),
        job('fails late', f'import sys; {said}; sys.exit(3)'),
        job('hangs', hangs, limit=2),
        job('too late', 'print(1)'),
    ]
    start = time.monotonic()
    outcomes = run_jobs(jobs[:-1], tmp_path, limit=60)
    assert time.monotonic() - start < 30
    states = [outcome.state for outcome in outcomes]
    failed = 'failed: exit status 3'
    assert states == [
        *('done', failed, 'failed: no JSON', 'failed: no JSON', f'{failed}, partial', 'stopped after 2 s, partial'),
    ]
    assert [outcome.result for outcome in outcomes] == [RESULT, None, None, None, RESULT, RESULT]
    assert _has_ended(int(pid.read_text()))

    written = json.loads((tmp_path / 'results.json').read_text())
    assert [(one['name'], one['state']) for one in written] == [
        (one.name, state) for one, state in zip(jobs, states, strict=False)
    ]
    assert written[0]['result'] == RESULT
    text = (tmp_path / 'results.md').read_text()
    heading = '`b2b bench train --json`, 2026-01-02, on Some, gpu Any:'
    assert [line for line in text.splitlines() if line.endswith(heading)] == [
        *(heading, f'**{failed}, partial:** {heading}', f'**stopped after 2 s, partial:** {heading}'),
    ]
    assert text.count('| bf16') == 3
    assert '| hangs' in text
    log = (tmp_path / 'log.txt').read_text()
    assert all(word in log for word in ('said', 'why', 'no JSON', '\n{\n'))

    (late,) = run_jobs(jobs[-1:], tmp_path, limit=0)
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


OUT = Path('out')


@pytest.mark.parametrize('jobs', [gpu_jobs(OUT), tiny_jobs(OUT)], ids=['gpu', 'tiny'])
def test_the_benches_have_these_options(jobs: list[Job]) -> None:
    for one in jobs:
        python, *words = one.command
        assert python == sys.executable
        command: click.Command
        if one.name == 'curves':
            assert Path(words.pop(0)).samefile(Path(amp_curves.__file__))
            command = amp_curves.main
        else:
            assert (words.pop(0), words.pop(0)) == ('-m', 'b2b_basicsr')
            command = b2b
        context = None
        while isinstance(command, click.Group):
            context = command.make_context(words[0], [], parent=context, resilient_parsing=True)
            command = command.commands[words.pop(0)]
        parsed = command.make_context(command.name or '', words, parent=context)
        assert parsed.params['as_json'] is True
        if one.name == 'curves':
            assert set(parsed.params['runs'].split(';')) <= amp_curves.RUNS.keys()


def _calls() -> list[list[str]]:
    """What ``--only`` takes in the calls that the script's docstring gives."""
    lines = re.findall(r'^ +(python3 benchmarks/on_gpu\.py .*)$', on_gpu.__doc__ or '', re.MULTILINE)
    calls = [shlex.split(line) for line in lines]
    return [[word for flag, word in pairwise(call) if flag == '--only'] for call in calls]


def test_the_calls_in_the_docstring_hold_every_job() -> None:
    jobs = gpu_jobs(OUT)
    first, *later = _calls()
    assert first == []
    held = [chosen(jobs, only) for only in later]
    assert all(held)
    assert all(sum(one.limit for one in some) <= LIMIT for some in held)
    left = [one for one in jobs if all(one not in some for some in held)]
    assert jobs[: len(left)] == left
    assert sum(one.limit for one in left) <= LIMIT


def _options(jobs: list[Job], name: str) -> list[dict[str, str]]:
    commands = [one.command for one in jobs if one.name.startswith(name)]
    return [dict(pairwise(command)) for command in commands]


def test_the_most_important_jobs_fit_their_time() -> None:
    jobs, total = [], 0.0
    for one in gpu_jobs(OUT):
        total += one.limit
        jobs += [one] if total <= LIMIT else []
    steps = [options for options in _options(jobs, 'train') if options['--batch'] == '16']
    assert all('plain' in options['--forms'].split(',') for options in steps)  # what the others are held against
    assert {form for options in steps for form in options['--forms'].split(',')} == {
        *('plain', 'tf32', 'fp32', 'bf16', 'bf16-compile', 'fp16'),
    }
    assert [one.limit for one in jobs if one.name == 'restore: video'] == [200]
    pictures = _options(jobs, 'restore: pictures')
    assert [(options['--widths'], options['--sizes']) for options in pictures] == [('32', '0.9'), ('32', '8')]
