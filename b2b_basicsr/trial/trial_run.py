"""``b2b check``: an option file's data counted, its networks loaded, its training tried."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from basicsr.data import build_dataloader, build_dataset
from basicsr.models import build_model
from basicsr.utils import get_root_logger
from tqdm import tqdm

from b2b_basicsr.compat.training_script import script_function
from b2b_basicsr.trial.parsed_options import ParsedOptions, parse
from b2b_basicsr.trial.picture_census import CountedSet
from b2b_basicsr.trial.scratch_folder import scratch_folder
from b2b_basicsr.trial.trial_checkpoint import TriedCheckpoint, free_bytes, try_checkpoint
from b2b_basicsr.trial.trial_step import (
    TriedSteps,
    batches,
    networks_without_gradients,
    seconds_of_a_batch,
    stages_of,
    try_stage,
)
from b2b_basicsr.trial.trial_validation import TriedValidation, try_set


@dataclass
class Trial:
    """What was found out.

    Args:
        opt: the option file as BasicSR parses it.
        counted: the pictures of each of its ``datasets``.
        folder: where its experiment, or its results, will lie.
        done: iterations, of a training that is resumed.
        model: one of ours.
        batches_per_epoch: that the loader gives.
        workers: of the training's loader.
        stages: the steps that were tried; none of a test.
        batch_seconds: that one process takes for a batch; ``None`` where the training's own process makes them.
        without_gradients: networks that learn nothing.
        validations: of each validation or test set.
        checkpoint: that was tried, or why it could not be.
        free: bytes on the disk of ``folder``.
    """

    opt: dict[str, Any]
    counted: dict[str, list[CountedSet]]
    folder: Path
    model: Any = None
    done: int = 0
    batches_per_epoch: int = 0
    workers: int = 0
    stages: list[TriedSteps] = field(default_factory=list)
    batch_seconds: float | None = None
    without_gradients: list[str] = field(default_factory=list)
    validations: list[TriedValidation] = field(default_factory=list)
    checkpoint: TriedCheckpoint | str | None = None
    free: int = 0

    def times_left(self, frequency: float) -> int:
        """How often the training will still come to a multiple of so many iterations."""
        return int(self.opt['train']['total_iter']) // int(frequency) - self.done // int(frequency)


def run_trial(option_file: Path, forced: Sequence[str]) -> Trial:
    """Tries an option file of a training or a test; leaves nothing behind.

    Args:
        option_file: its path.
        forced: entries of ``--force_yml``.

    Raises:
        UserError: for what the user has to mend.
        SystemExit: with status 2, for mistakes in the options; they have been told.
    """
    with redirect_stdout(io.StringIO()):  # what BasicSR prints is no part of the tables
        return _tried(parse(option_file, forced))


def _tried(parsed: ParsedOptions) -> Trial:
    opt = parsed.opt
    trial = Trial(opt, parsed.counted, Path(opt['path']['experiments_root' if opt['is_train'] else 'results_root']))
    trial.free = free_bytes(trial.folder)
    if opt.get('val'):
        opt['val']['pbar'] = False  # there is one bar already
    torch.backends.cudnn.benchmark = True  # as in BasicSR's scripts
    with scratch_folder(opt):
        if opt['is_train']:
            _try_training(trial, parsed.state)
        else:
            _try_test(trial)
    return trial


def _try_training(trial: Trial, state: Mapping[str, Any] | None) -> None:
    opt = trial.opt
    logger = get_root_logger()
    loader, sampler, val_loaders, _, _ = script_function('create_train_val_dataloader')(opt, logger)
    trial.model = model = build_model(opt)
    if state is not None:
        model.resume_training(state)
        trial.done = int(state['iter'])
    trial.batches_per_epoch, trial.workers = len(loader), loader.num_workers
    data = batches(opt, loader, sampler, 0 if state is None else int(state['epoch']))
    skipped = int(((state or {}).get('skipped_steps') or {}).get('total', 0))
    stages = stages_of(opt['train'], trial.done)
    bar = _bar(len(stages) + len(val_loaders) + 1)
    for stage in stages:
        bar.set_description('trying a step')
        trial.stages.append(try_stage(model, opt, data, stage, skipped))
        bar.update()
    data.close()
    trial.without_gradients = networks_without_gradients(model)
    if trial.workers:
        trial.batch_seconds = seconds_of_a_batch(loader, sampler)
    if opt.get('val'):
        _try_sets(trial, val_loaders, bar)
    saved = trial.times_left(opt['logger']['save_checkpoint_freq'])
    bar.set_description('trying a checkpoint')
    trial.checkpoint = try_checkpoint(model, opt, max(trial.done, 1), saved)
    bar.close()


def _try_test(trial: Trial) -> None:
    opt = trial.opt
    loaders = []
    for _, section in sorted(opt['datasets'].items()):
        dataset = build_dataset(section)
        loaders.append(
            build_dataloader(
                dataset, section, num_gpu=opt['num_gpu'], dist=opt['dist'], sampler=None, seed=opt['manual_seed']
            )
        )
    trial.model = build_model(opt)
    with _bar(len(loaders)) as bar:
        _try_sets(trial, loaders, bar)


def _bar(total: int) -> Any:
    return tqdm(total=total, leave=False, file=sys.stderr)


def _try_sets(trial: Trial, loaders: Sequence[Any], bar: Any) -> None:
    named = {section.get('name'): phase for phase, section in trial.opt['datasets'].items() if phase != 'train'}
    for loader in loaders:
        counted = trial.counted.get(named[loader.dataset.opt['name']], [])
        bar.set_description('trying a picture')
        trial.validations.append(try_set(trial.model, trial.opt, loader, counted))
        bar.update()
