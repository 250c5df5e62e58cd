"""The GPU rows of docs/performance.md, each call in under ten minutes.

    python3 benchmarks/on_gpu.py -o OUT

measures what matters most: a training step, and restoring a video and pictures of 0.9 and 8 megapixels. What time is
left goes to the rest, in the order of the list, and the first call leaves out what it cannot hold. These hold it:

    python3 benchmarks/on_gpu.py -o OUT2 --only growth --only 'width 64'
    python3 benchmarks/on_gpu.py -o OUT3 --only '32, 48 megapixels' --only data --only curves

``growth`` is a training step by batch and crop, ``data`` the data loader, and ``curves`` trainings whose losses in 16
bits are held against those in 32.

The benches run one after the other, each with a time limit of its own, and after each there is what is known so far:
``OUT/results.md`` (tables), ``OUT/results.json`` and ``OUT/log.txt`` (all that they said). Of one that fails or is
stopped the tables stay that it had finished, and the next one runs. With ``--tiny`` the script tries itself out on a
CPU.

On a machine without a network, whose Python has torch already, bring along what is missing. Where there is one:

    python3 -m pip download --no-deps --only-binary=:all: --python-version 3.12 --implementation cp
        --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 -d .whl
        addict annotated-types cffi future lmdb lpips platformdirs pycparser pydantic pydantic-core==N
        pyvips-binary spandrel typing-extensions typing-inspection yapf
    python3 -m pip wheel --no-deps --no-build-isolation -w .whl basicsr==1.4.2
    python3 -m pip wheel --no-deps -w .whl pyvips

(``pydantic-core`` in the version that pydantic's wheel names; 14 MiB in all), and there, in the repository's root:

    python3 -m pip install --no-index --no-deps --target /tmp/site .whl/*.whl
    PYTHONPATH=/tmp/site:$PWD python3 benchmarks/on_gpu.py -o OUT
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import click
from tqdm import tqdm

from b2b_basicsr.bench.markdown import as_markdown
from b2b_basicsr.bench.timing_table import Table
from b2b_basicsr.errors import UserError, exit_with
from b2b_basicsr.prepare.write_errors import cannot_write
from b2b_basicsr.whole_file import whole_file

LIMIT = 570
"""Seconds for a call, where the user does not say."""

_B2B = (sys.executable, '-m', 'b2b_basicsr')
_CURVES = os.path.relpath(Path(__file__).with_name('amp_curves.py'))
_RESULT = frozenset({'command', 'machine', 'tables'})


@dataclass(frozen=True)
class Job:
    """One command.

    Args:
        name: for the summary.
        command: it prints JSON as its last line, as ``b2b bench ... --json`` does, or more such lines as it gets on.
        limit: seconds after which it is stopped.
    """

    name: str
    command: tuple[str, ...]
    limit: float


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Args:
        name: of the job.
        seconds: that it took.
        state: ``done``, or why there is no result, or, where it says ``partial``, no more.
        result: its last JSON.
    """

    name: str
    seconds: float
    state: str
    result: dict[str, Any] | None = None


def _train(name: str, limit: float, forms: str, batch: int = 16, crop: int = 256, rounds: int = 3) -> Job:
    words = ('--device', 'cuda', '--forms', forms, '--batch', str(batch), '--crop', str(crop), '--rounds', str(rounds))
    return Job(f'{name}: {forms}, batch {batch}, crop {crop}', (*_B2B, 'bench', 'train', *words, '--json'), limit)


def _restore(name: str, limit: float, forms: str, *words: str) -> Job:
    command = (*_B2B, 'bench', 'restore', '--device', 'cuda', '--forms', forms, *words, '--rounds', '3', '--json')
    return Job(f'restore: {name}', command, limit)


def _pictures(limit: float, forms: str, width: int, megapixels: float) -> Job:
    words = ('--parts', 'pictures', '--widths', str(width), '--sizes', str(megapixels))
    return _restore(f'pictures, width {width}, {megapixels} megapixels', limit, forms, *words)


def gpu_jobs(out: Path) -> list[Job]:
    """For an H100: the most important first, so that what is left out at the end is the least.

    Most of the time goes into starting processes, and into compiling: a job by itself, beside the plain form once more,
    so that the other forms are not lost where it takes too long.

    Args:
        out: for the curves' files.
    """
    return [
        _train('train', 165, 'plain,tf32,fp32,bf16,fp16', rounds=4),
        _restore('video', 200, 'plain,bf16,bf16-compile,fp16', '--parts', 'video', '--frames', '48'),
        _pictures(40, 'plain,bf16,fp16', 32, 0.9),
        _pictures(40, 'plain,bf16,fp16', 32, 8),
        _train('train', 125, 'plain,bf16-compile'),
        *(_train('growth', 60, 'bf16', batch=batch) for batch in (1, 4, 32)),
        *(_train('growth', 60, 'bf16', crop=crop) for crop in (128, 384)),
        _pictures(100, 'plain,bf16,fp16', 32, 48),
        *(_pictures(limit, 'plain,bf16', 64, size) for size, limit in ((0.9, 50), (8, 60), (48, 150))),
        Job('data', (*_B2B, 'bench', 'data', '--count', '24', '--rounds', '3', '--json'), 90),
        _curves(380, out, 'cuda', 300, 'fp32;fp32, another seed;bf16;fp16'),
    ]


def _curves(limit: float, out: Path, device: str, iterations: int, runs: str) -> Job:
    words = ('-o', str(out / 'curves'), '--device', device, '--iterations', str(iterations), '--runs', runs, '--json')
    return Job('curves', (sys.executable, _CURVES, *words), limit)


def tiny_jobs(out: Path) -> list[Job]:
    """The same commands with next to nothing to do, on the CPU.

    Args:
        out: for the curves' files.
    """
    few = ('--device', 'cpu', '--tiny', '--rounds', '1', '--forms', 'plain,bf16', '--json')
    return [
        Job('train', (*_B2B, 'bench', 'train', '--batch', '2', '--crop', '128', *few), 180),
        Job('restore: video', (*_B2B, 'bench', 'restore', '--parts', 'video', '--frames', '2', *few), 180),
        Job('restore: pictures', (*_B2B, 'bench', 'restore', '--parts', 'pictures', '--sizes', '0.01', *few), 180),
        Job('data', (*_B2B, 'bench', 'data', '--kind', 'jpeg', '--count', '2', '--rounds', '1', '--json'), 180),
        _curves(300, out, 'cpu', 20, 'bf16'),
    ]


def chosen(jobs: Sequence[Job], only: Sequence[str]) -> list[Job]:
    """Those whose name has one of the texts in it; all without texts."""
    return [job for job in jobs if not only or any(text in job.name for text in only)]


def run_jobs(jobs: Sequence[Job], out: Path, limit: float) -> list[Outcome]:
    """Runs every job for which there is time, and writes after each what there is.

    Args:
        jobs: in their order.
        out: a folder, which is there.
        limit: seconds for all.

    Returns:
        What became of each.
    """
    end = time.monotonic() + limit
    outcomes: list[Outcome] = []
    with (
        open(out / 'log.txt', 'w', encoding='utf-8', buffering=1) as log,
        tqdm(jobs, unit='job', disable=not sys.stderr.isatty()) as bar,
    ):
        for job in bar:
            bar.set_description(job.name)
            outcomes.append(_run(job, log, min(job.limit, end - time.monotonic())))
            _write(outcomes, out)
            tqdm.write(f'{job.name}: {outcomes[-1].state} ({outcomes[-1].seconds:.0f} s)', file=sys.stderr)
    return outcomes


def _run(job: Job, log: IO[str], limit: float) -> Outcome:
    if limit <= 0:
        return Outcome(job.name, 0, 'not run: no time left')
    print(f'==== {" ".join(job.command)}', file=log)
    start = time.monotonic()
    # A file, no pipe: nobody who still holds it is waited for.
    with tempfile.TemporaryFile('w+', encoding='utf-8', errors='replace') as stdout:
        # In a session of its own, so that the processes that it starts end with it.
        process = subprocess.Popen(job.command, stdout=stdout, stderr=log, start_new_session=True)
        try:
            status = process.wait(timeout=limit)
            state = 'done' if status == 0 else f'failed: exit status {status}'
        except subprocess.TimeoutExpired:
            _kill(process)
            state = f'stopped after {limit:.0f} s'
        except BaseException:  # Ctrl-C, which the job's own session does not hear
            _kill(process)
            raise
        stdout.seek(0)
        said = stdout.read()
    print(said, file=log)
    result = _last_result(said)
    if result is None and state == 'done':
        state = 'failed: no JSON'
    elif result is not None and state != 'done':
        state += ', partial'
    return Outcome(job.name, time.monotonic() - start, state, result)


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # they have ended
        process.kill()
    with suppress(subprocess.TimeoutExpired):  # a driver may hold it
        process.wait(timeout=10)


def _last_result(said: str) -> dict[str, Any] | None:
    """The last line that is a bench's JSON; one that was being written when the job was stopped is none."""
    for line in reversed(said.splitlines()):
        with suppress(ValueError):
            result = json.loads(line)
            if isinstance(result, dict) and result.keys() >= _RESULT:
                return result
    return None


def _write(outcomes: Sequence[Outcome], out: Path) -> None:
    with whole_file(out / 'results.json') as file:
        file.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1), encoding='utf-8')
    parts = [_markdown(outcome, outcome.result) for outcome in outcomes if outcome.result is not None]
    with whole_file(out / 'results.md') as file:
        file.write_text('\n'.join([*parts, _summary(outcomes).text('github'), '']), encoding='utf-8')


def _markdown(outcome: Outcome, result: dict[str, Any]) -> str:
    notice = '' if outcome.state == 'done' else f'**{outcome.state}:** '
    return notice + as_markdown(result)


def _summary(outcomes: Sequence[Outcome]) -> Table:
    return Table('Summary', [{'job': one.name, 'seconds': round(one.seconds), 'state': one.state} for one in outcomes])


@click.command()
@click.option('-o', '--out', type=click.Path(path_type=Path), required=True, help='A folder; it is made.')
@click.option('--limit', type=click.FloatRange(min=0), default=LIMIT, show_default=True, help='Seconds for all.')
@click.option('--only', multiple=True, metavar='TEXT', help='Jobs whose name has this in it.')
@click.option('--tiny', is_flag=True, help='On the CPU, with next to nothing to do: to try the script out.')
def main(out: Path, limit: float, only: tuple[str, ...], tiny: bool) -> None:
    """Make the GPU rows of docs/performance.md, each call in under ten minutes.

    The benches run one after the other, the most important first, each with a time limit of its own. After each,
    OUT/results.md has the tables so far, OUT/results.json the figures, and OUT/log.txt what was said; of a bench that
    is stopped the tables that it had finished. What the first call leaves out, later ones take by --only: the top of
    the script has them. Exit status 1: a bench failed, was stopped, or found no time.
    """
    import torch

    jobs = chosen((tiny_jobs if tiny else gpu_jobs)(out), only)
    try:
        if not tiny and not torch.cuda.is_available():
            raise UserError('there is no GPU that torch can use; --tiny tries the script out on the CPU')
        if not jobs:
            raise UserError(f'--only: no job is called {" or ".join(only)}')
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as cause:
            raise cannot_write(out, cause) from cause
    except UserError as error:
        exit_with(error)
    outcomes = run_jobs(jobs, out, limit)
    click.echo((out / 'results.md').read_text(encoding='utf-8'))
    sys.exit(any(outcome.state != 'done' for outcome in outcomes))


if __name__ == '__main__':
    main()
