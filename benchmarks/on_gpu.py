"""All GPU rows of docs/performance.md by one command, in under ten minutes.

    python benchmarks/on_gpu.py -o OUT

It runs the benches one after the other, the most important first, each with a time limit of its own, and writes after
each what there is so far: ``OUT/results.md`` (tables), ``OUT/results.json`` and ``OUT/log.txt`` (all that they said).
One that fails or hangs is noted there, and the next one runs. With ``--tiny`` it tries itself out on a CPU.

On a machine without a network, whose Python has torch already, bring along what is missing. Where there is one:

    python -m pip download --no-deps --only-binary=:all: --python-version 3.12 --implementation cp
        --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 -d .whl
        addict annotated-types cffi future lmdb lpips platformdirs pycparser pydantic pydantic-core==N
        pyvips-binary spandrel typing-extensions typing-inspection yapf
    python -m pip wheel --no-deps --no-build-isolation -w .whl basicsr==1.4.2
    python -m pip wheel --no-deps -w .whl pyvips

(``pydantic-core`` in the version that pydantic's wheel names; 14 MiB in all), and there, in the repository's root:

    python -m pip install --no-index --no-deps --target /tmp/site .whl/*.whl
    PYTHONPATH=/tmp/site:. python benchmarks/on_gpu.py -o OUT
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
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

_B2B = (sys.executable, '-m', 'b2b_basicsr')


@dataclass(frozen=True)
class Job:
    """One command.

    Args:
        name: for the summary.
        command: it prints JSON as its last line, as ``b2b bench ... --json`` does.
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
        state: ``done``, or why there is no result.
        result: its JSON.
    """

    name: str
    seconds: float
    state: str
    result: dict[str, Any] | None = None


def _train(limit: float, forms: str, batch: int = 16, crop: int = 256, rounds: int = 5) -> Job:
    words = ('--device', 'cuda', '--forms', forms, '--batch', str(batch), '--crop', str(crop), '--rounds', str(rounds))
    return Job(f'train: {forms}, batch {batch}, crop {crop}', (*_B2B, 'bench', 'train', *words, '--json'), limit)


def _restore(name: str, limit: float, *words: str) -> Job:
    return Job(f'restore: {name}', (*_B2B, 'bench', 'restore', '--device', 'cuda', *words, '--json'), limit)


def gpu_jobs() -> list[Job]:
    """For an H100: the most important first, so that what is left out at the end is the least.

    Most of the time goes into starting processes, and into compiling.
    """
    sizes = ('--parts', 'pictures', '--sizes', '0.9,8,48', '--rounds', '3')
    return [
        _train(210, 'plain,tf32,bf16,bf16-compile,fp16'),
        _restore('video', 120, '--parts', 'video', '--frames', '60', '--forms', 'plain,bf16,bf16-compile,fp16'),
        _restore('pictures, width 32', 130, *sizes, '--widths', '32', '--forms', 'plain,bf16,fp16'),
        *(_train(40, 'bf16', batch=batch) for batch in (1, 4, 32)),
        *(_train(40, 'bf16', crop=crop) for crop in (128, 384)),
        _restore('pictures, width 64', 100, *sizes, '--widths', '64', '--forms', 'plain,bf16'),
        Job('data', (*_B2B, 'bench', 'data', '--count', '24', '--rounds', '3', '--json'), 90),
    ]


def tiny_jobs() -> list[Job]:
    """The same commands with next to nothing to do, on the CPU."""
    few = ('--device', 'cpu', '--tiny', '--rounds', '1', '--forms', 'plain,bf16', '--json')
    return [
        Job('train', (*_B2B, 'bench', 'train', '--batch', '2', '--crop', '128', *few), 180),
        Job('restore: video', (*_B2B, 'bench', 'restore', '--parts', 'video', '--frames', '2', *few), 180),
        Job('restore: pictures', (*_B2B, 'bench', 'restore', '--parts', 'pictures', '--sizes', '0.01', *few), 180),
        Job('data', (*_B2B, 'bench', 'data', '--kind', 'jpeg', '--count', '2', '--rounds', '1', '--json'), 180),
    ]


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
    # In a session of its own, so that the processes that it starts end with it.
    process = subprocess.Popen(
        job.command, stdout=subprocess.PIPE, stderr=log, text=True, encoding='utf-8', start_new_session=True
    )
    try:
        said, _ = process.communicate(timeout=limit)
        state = 'done' if process.returncode == 0 else f'failed: exit status {process.returncode}'
    except subprocess.TimeoutExpired:
        _kill(process)
        said, _ = process.communicate()
        state = f'stopped after {limit:.0f} s'
    except BaseException:  # Ctrl-C, which the job's own session does not hear
        _kill(process)
        raise
    print(said, file=log)
    result = _last_line(said) if state == 'done' else None
    if state == 'done' and result is None:
        state = 'failed: no JSON'
    return Outcome(job.name, time.monotonic() - start, state, result)


def _kill(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # they have ended
        process.kill()


def _last_line(said: str) -> dict[str, Any] | None:
    try:
        result = json.loads(said.splitlines()[-1])
    except (IndexError, ValueError):
        return None
    return result if isinstance(result, dict) else None


def _write(outcomes: Sequence[Outcome], out: Path) -> None:
    with whole_file(out / 'results.json') as file:
        file.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1), encoding='utf-8')
    parts = [as_markdown(outcome.result) for outcome in outcomes if outcome.result is not None]
    with whole_file(out / 'results.md') as file:
        file.write_text('\n'.join([*parts, _summary(outcomes).text('github'), '']), encoding='utf-8')


def _summary(outcomes: Sequence[Outcome]) -> Table:
    return Table('Summary', [{'job': one.name, 'seconds': round(one.seconds), 'state': one.state} for one in outcomes])


@click.command()
@click.option('-o', '--out', type=click.Path(path_type=Path), required=True, help='A folder; it is made.')
@click.option('--limit', type=click.FloatRange(min=0), default=570, show_default=True, help='Seconds for all.')
@click.option('--only', multiple=True, metavar='TEXT', help='Jobs whose name has this in it.')
@click.option('--tiny', is_flag=True, help='On the CPU, with next to nothing to do: to try the script out.')
def main(out: Path, limit: float, only: tuple[str, ...], tiny: bool) -> None:
    """Make all GPU rows of docs/performance.md in under ten minutes.

    The benches run one after the other, the most important first, each with a time limit of its own. After each,
    OUT/results.md has the tables so far, OUT/results.json the figures, and OUT/log.txt what was said. Exit status 1: a
    bench failed or found no time.
    """
    import torch

    jobs = [job for job in (tiny_jobs() if tiny else gpu_jobs()) if not only or any(text in job.name for text in only)]
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
    sys.exit(any(outcome.result is None for outcome in outcomes))


if __name__ == '__main__':
    main()
