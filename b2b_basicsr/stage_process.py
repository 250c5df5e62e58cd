"""One stage of several trainings and tests: BasicSR's pipeline in a process of its own, watched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from tqdm import tqdm

from b2b_basicsr.errors import UserError
from b2b_basicsr.report.basicsr_log import logged_iteration


class StageError(UserError):
    """A stage ended with an error; its log is named."""


def run_stage(
    command: str,
    option_file: Path,
    folder: Path,
    *,
    title: str,
    iterations: int,
    log: Path,
    resumes: bool = False,
    held_files: Sequence[int] = (),
) -> None:
    """Runs ``b2b train`` or ``b2b test`` and shows how far it is.

    BasicSR's logger and argument parsing are per process, so each stage has its own. If this process is told to end
    (``KeyboardInterrupt``), so is the stage: a training saves where it is, which is waited for; the second time it is
    killed.

    Args:
        command: ``train`` or ``test``.
        option_file: the option file.
        folder: working folder, the root of ``experiments/`` and ``results/``.
        title: what the progress bar says.
        iterations: how many the stage has; 0 where none are counted.
        log: file for all that the stage prints.
        resumes: whether a training goes on from its newest state (``--auto_resume``), its log as well.
        held_files: open files that the stage keeps open as long as it lives, locks say.

    Raises:
        StageError: if it does not end with exit status 0.
    """
    arguments = [sys.executable, '-u', '-m', 'b2b_basicsr', command, '-opt', str(option_file)]
    if resumes:
        arguments.append('--auto_resume')
    # Threads that wait for each other spin, and keep the cores from all else that runs; for less long they hardly lose
    # where nothing else does.
    environment = {'GOMP_SPINCOUNT': '10000', **os.environ}
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open('a' if resumes else 'w', encoding='utf-8') as kept,
        tqdm(total=iterations or 1, desc=title, unit='it', leave=True) as bar,
        subprocess.Popen(
            arguments,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            pass_fds=held_files,
        ) as stage,
    ):
        assert stage.stdout is not None
        try:
            for line in _kept(stage.stdout, kept):
                iteration = logged_iteration(line)
                if iteration is not None and iterations:
                    if resumes and not bar.n:
                        bar.initial = iteration  # what was done before says nothing of the time that is left
                    bar.update(iteration - bar.n)
        except KeyboardInterrupt:
            _end(stage, stage.stdout, kept)
            raise
        if stage.wait() == 0:
            bar.update((iterations or 1) - bar.n)
    if stage.returncode != 0:
        last = log.read_text(encoding='utf-8').strip().splitlines()[-1:]
        raise StageError(f'{title} ended with status {stage.returncode}: {"".join(last)} (all of it: {log})')


def _kept(lines: IO[str], log: IO[str]) -> Iterator[str]:
    """Each line as it comes, written to the log."""
    for line in lines:
        log.write(line)
        log.flush()
        yield line


def _end(stage: subprocess.Popen[str], lines: IO[str], log: IO[str]) -> None:
    """Asks a stage to end, and reads what it says meanwhile, without which it could not."""
    stage.terminate()
    try:
        for _ in _kept(lines, log):
            pass
        stage.wait()
    except KeyboardInterrupt:
        stage.kill()
        raise
