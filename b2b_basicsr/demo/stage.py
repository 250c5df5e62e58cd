"""One stage of the demo: BasicSR's pipeline in a process of its own, watched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tqdm import tqdm

from b2b_basicsr.errors import UserError
from b2b_basicsr.report.basicsr_log import logged_iteration


class StageError(UserError):
    """A stage ended with an error; its log is named."""


def run_stage(command: str, option_file: Path, folder: Path, *, title: str, iterations: int, log: Path) -> None:
    """Runs ``b2b train`` or ``b2b test`` and shows how far it is.

    BasicSR's logger and argument parsing are per process, so each stage has its own.

    Args:
        command: ``train`` or ``test``.
        option_file: the option file.
        folder: working folder, the root of ``experiments/`` and ``results/``.
        title: what the progress bar says.
        iterations: how many the stage has; 0 where none are counted.
        log: file for all that the stage prints.

    Raises:
        StageError: if it does not end with exit status 0.
    """
    arguments = [sys.executable, '-u', '-m', 'b2b_basicsr', command, '-opt', str(option_file)]
    # Threads that wait for each other spin, and keep the cores from all else that runs; for less long they hardly lose
    # where nothing else does.
    environment = {'GOMP_SPINCOUNT': '10000', **os.environ}
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open('w', encoding='utf-8') as kept,
        tqdm(total=iterations or 1, desc=title, unit='it', leave=True) as bar,
        subprocess.Popen(
            arguments,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
        ) as stage,
    ):
        assert stage.stdout is not None
        for line in stage.stdout:
            kept.write(line)
            kept.flush()
            iteration = logged_iteration(line)
            if iteration is not None and iterations:
                bar.update(iteration - bar.n)
        if stage.wait() == 0:
            bar.update((iterations or 1) - bar.n)
    if stage.returncode != 0:
        last = log.read_text(encoding='utf-8').strip().splitlines()[-1:]
        raise StageError(f'{title} ended with status {stage.returncode}: {"".join(last)} (all of it: {log})')
