"""A training reaches ``total_iter``, and ends there, for any set, batch size and resumed state.

BasicSR counts the batches of an epoch with ceil and without ``num_gpu``, while its loader drops an incomplete last
batch: an epoch is shorter than counted, and the epochs end before the iterations do. A set smaller than one batch
gives no batch at all. And a resumed training starts the epoch that the state says anew: it sees its first pictures
twice, and its last ones never. Trainings of our models go on behind what was seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from b2b_basicsr.compat.mend import Mend, basicsr_has_faults
from b2b_basicsr.compat.our_option_files import is_our_model
from b2b_basicsr.compat.training_script import wrap_script_function
from b2b_basicsr.stop_request import WorkersDeafToSignals, start_workers_unheard


@dataclass
class _Start:
    """Where the training that is being set up starts."""

    epoch: int = 0
    iteration: int = 0
    seen: int = 0
    """Places of that epoch, over all processes, that the training has seen."""


_start = _Start()


def last_epoch_needed(
    total_iter: int,
    batches_per_epoch: int,
    start_epoch: int = 0,
    start_iteration: int = 0,
    left_in_first: int | None = None,
) -> int:
    """Return the last epoch that a training needs, as BasicSR's loop counts: from ``start_epoch`` to it, inclusive.

    Args:
        total_iter: Iterations to reach.
        batches_per_epoch: Batches that the loader gives, at least 1.
        start_epoch: The epoch to start with.
        start_iteration: Iterations done before.
        left_in_first: Batches that are left of it; all, if it is started from its first one on.
    """
    left = batches_per_epoch if left_in_first is None else left_in_first
    return start_epoch + math.ceil((total_iter - start_iteration - left) / batches_per_epoch)


def _noting_the_start(load_resume_state: Callable[..., Any]) -> Callable[..., Any]:
    def load(opt: dict[str, Any]) -> Any:
        state = load_resume_state(opt)
        _start.epoch, _start.iteration = (state['epoch'], state['iter']) if state else (0, 0)
        # A state of BasicSR's, or an older one of ours, does not say: its epoch starts anew.
        place = (state or {}).get('place') or {}
        _start.seen = place['seen'] if place.get('epoch') == _start.epoch else 0
        return state

    return load


def _reaching_the_total(create_train_val_dataloader: Callable[..., Any]) -> Callable[..., Any]:
    from torch.utils.data import DataLoader

    from b2b_basicsr.data.positioned_sampler import PositionedSampler

    def create(opt: dict[str, Any], logger: Any) -> Any:
        created = create_train_val_dataloader(opt, logger)
        if not (isinstance(created, tuple) and len(created) == 5 and isinstance(created[0], DataLoader)):
            return created  # another project's script, with a function of that name
        train_loader, train_sampler, val_loaders, total_epochs, total_iter = created
        train_loader, train_sampler = _with_a_batch(opt, logger, train_loader, train_sampler)
        left = None
        if isinstance(train_sampler, PositionedSampler):
            left = train_sampler.go_on(_start.epoch, _start.seen) // train_loader.batch_size
            if _start.seen:
                logger.info(f'Epoch {_start.epoch} goes on behind the {_start.seen} samples of it that were seen.')
        needed = last_epoch_needed(total_iter, len(train_loader), _start.epoch, _start.iteration, left)
        if not needed <= total_epochs <= needed + 1:  # BasicSR's loop has one epoch to spare, which trains nothing
            logger.info(
                f'Total epochs: {needed}, not {total_epochs}: the loader gives {len(train_loader)} batches an epoch, '
                f'an incomplete last one dropped, and {total_iter - _start.iteration} iterations are left '
                f'from epoch {_start.epoch} on.'
            )
            total_epochs = needed
        return train_loader, train_sampler, val_loaders, total_epochs, total_iter

    return create


def _with_a_batch(opt: dict[str, Any], logger: Any, train_loader: Any, train_sampler: Any) -> tuple[Any, Any]:
    """Return loader and sampler that give a batch an epoch at least, with the sampler that the data set asks for.

    A data set asks by its attribute ``sampler_class``: a class like ``EnlargedSampler``, whose constructor also takes
    ``seed``. One that does not is made to, where a model of ours trains on it.
    """
    from basicsr.data import build_dataloader

    from b2b_basicsr.data.positioned_dataset import PositionedDataset

    dataset = train_loader.dataset
    if is_our_model(opt) and not hasattr(dataset, 'sampler_class'):
        dataset = PositionedDataset(dataset)
    dataset_opt = opt['datasets']['train']
    ratio = dataset_opt.get('dataset_enlarge_ratio', 1)
    sampler_class = getattr(dataset, 'sampler_class', None)
    if len(train_loader) > 0 and sampler_class is None:
        return train_loader, train_sampler
    if len(train_loader) == 0:
        ratio = math.ceil(train_loader.batch_size * opt['world_size'] / len(dataset))
        dataset_opt['dataset_enlarge_ratio'] = ratio
        logger.info(
            f'Dataset enlarge ratio: {ratio}: the {len(dataset)} train images do not fill one batch, '
            'so an epoch passes over them several times.'
        )
    seed = opt['manual_seed']
    if sampler_class is None:
        sampler = type(train_sampler)(dataset, opt['world_size'], opt['rank'], ratio)
    else:
        sampler = sampler_class(dataset, opt['world_size'], opt['rank'], ratio, seed=seed)
    loader = build_dataloader(
        dataset, dataset_opt, num_gpu=opt['num_gpu'], dist=opt['dist'], sampler=sampler, seed=seed
    )
    if is_our_model(opt) and loader.num_workers:  # others do not listen for the signals either
        loader.worker_init_fn = WorkersDeafToSignals(loader.worker_init_fn)
        start_workers_unheard(loader)
    return loader, sampler


def _apply() -> None:
    wrap_script_function('load_resume_state', _noting_the_start)
    wrap_script_function('create_train_val_dataloader', _reaching_the_total)


MEND = Mend(name='training_length', affects='basicsr <= 1.4.2', needed=basicsr_has_faults, apply=_apply)
