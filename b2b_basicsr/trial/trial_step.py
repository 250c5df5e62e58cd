"""A few steps of a training, timed."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from basicsr.data.prefetch_dataloader import CPUPrefetcher, CUDAPrefetcher
from torch import nn

from b2b_basicsr.bench.process_memory import forget_most_memory, is_out_of_memory, most_memory
from b2b_basicsr.errors import UserError

_LONG = 30.0
"""Seconds; where a step takes longer, one is timed, not two."""


@dataclass(frozen=True)
class Stage:
    """Iterations of a training that cost the same.

    Args:
        name: for the table; empty where there is one alone.
        iterations: that are left of it.
        first: the iteration that is tried, counted from 1.
    """

    name: str
    iterations: int
    first: int


@dataclass(frozen=True)
class TriedSteps:
    """What the steps of a stage took.

    Args:
        stage: that was tried.
        first: seconds of the first step: what is compiled, chosen and allocated once is in it.
        seconds: of each step behind it, the wait for data within.
        waits: seconds of it, in which the next batch was waited for.
        peak_bytes: most memory, the first step's, too.
        losses: of the last step.
    """

    stage: Stage
    first: float
    seconds: tuple[float, ...]
    waits: tuple[float, ...]
    peak_bytes: int | None
    losses: Mapping[str, float]

    @property
    def mean(self) -> float:
        """Seconds a step."""
        return sum(self.seconds) / len(self.seconds)

    @property
    def mean_wait(self) -> float:
        """Seconds a step that waits for data."""
        return sum(self.waits) / len(self.waits)


def stages_of(train_opt: Mapping[str, Any], done: int) -> list[Stage]:
    """The stages that a training still has before it.

    Args:
        train_opt: ``train`` of a checked option file.
        done: iterations, of a training that is resumed.

    Example:
        >>> stages_of({'total_iter': 9}, 0)
        [Stage(name='', iterations=9, first=1)]
        >>> stages_of({'total_iter': 9, 'net_d_iters': 2, 'net_d_init_iters': 3}, 0)
        [Stage(name='', iterations=9, first=4)]
    """
    total = int(train_opt['total_iter'])
    patches = train_opt.get('progressive_patches') or ()
    if not patches:
        every = int(train_opt.get('net_d_iters', 1))
        # One in which G is trained, too.
        first = (max(done, int(train_opt.get('net_d_init_iters', 0))) // every + 1) * every
        return [Stage('', max(total - done, 0), first)]
    ends = list(itertools.accumulate(int(patch['iterations']) for patch in patches))  # the last one is total_iter
    stages = []
    for patch, start, end in zip(patches, [0, *ends], ends, strict=False):
        first = max(start, done) + 1
        if first <= end:
            name = f'patches of {patch["gt_size"]}, batches of {patch["batch_size_per_gpu"]}'
            stages.append(Stage(name, end - first + 1, first))
    return stages


def batches(opt: Mapping[str, Any], loader: Any, sampler: Any, epoch: int) -> Generator[Mapping[str, Any], None, None]:
    """Batch after batch as BasicSR's loop takes them, epoch after epoch."""
    fetch: CPUPrefetcher | CUDAPrefetcher
    if opt['datasets']['train'].get('prefetch_mode') == 'cuda':
        fetch = CUDAPrefetcher(loader, opt)
    else:
        fetch = CPUPrefetcher(loader)
    while True:
        sampler.set_epoch(epoch)
        fetch.reset()
        while (batch := fetch.next()) is not None:
            yield batch
        epoch += 1


def try_stage(
    model: Any, opt: Mapping[str, Any], data: Iterator[Mapping[str, Any]], stage: Stage, skipped: int = 0
) -> TriedSteps:
    """Does a first step and, behind it, one or two that are timed; where G waits for D, a whole turn of both.

    Args:
        model: one of ours, built for training.
        opt: its options.
        data: batches.
        stage: which part of the training.
        skipped: steps of the training so far that were not finite.

    Raises:
        UserError: if a loss or a gradient is not finite, or there is too little memory.
    """
    forget_most_memory()
    first, _ = _step(model, opt, data, stage.first, skipped)
    every = int(opt['train'].get('net_d_iters', 1))
    timed: list[tuple[float, float]] = []
    while len(timed) < max(every, 2):
        timed.append(_step(model, opt, data, stage.first + 1 + len(timed), skipped))
        if every == 1 and timed[0][0] > _LONG:
            break
    return TriedSteps(
        stage,
        first,
        tuple(seconds for seconds, _ in timed),
        tuple(wait for _, wait in timed),
        most_memory(),
        {name: value for name, value in model.get_current_log().items() if name != 'skipped'},
    )


def _step(
    model: Any, opt: Mapping[str, Any], data: Iterator[Mapping[str, Any]], iteration: int, skipped: int
) -> tuple[float, float]:
    """Seconds of one step, and of them those that waited for its batch."""
    start = time.perf_counter()
    batch = next(data)
    waited = time.perf_counter() - start
    try:
        model.update_learning_rate(iteration, warmup_iter=opt['train'].get('warmup_iter', -1))
        model.feed_data(batch)
        model.optimize_parameters(iteration)
        wait_for(model.device)
    except (RuntimeError, MemoryError) as cause:
        if not is_out_of_memory(cause):
            raise
        raise UserError(
            f'train: a step does not fit into the memory of the {model.device}; lower datasets:train:'
            'batch_size_per_gpu or gt_size, or set train:accum_iter or train:amp'
        ) from cause
    seconds = time.perf_counter() - start
    log = model.get_current_log()
    strange = [f'{name} is {value}' for name, value in log.items() if not math.isfinite(value)]
    if not strange and log.get('skipped', 0) > skipped:
        strange = ['a gradient is not finite']
    if strange:
        raise UserError(
            f'{", ".join(strange)} in a trial step at iteration {iteration}; look at the weights of path, the weights '
            'of losses and train:amp'
        )
    return seconds, waited


def wait_for(device: torch.device) -> None:
    """Until a CUDA device has done all that it was given."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def networks_without_gradients(model: Any) -> list[str]:
    """The trained networks whose gradients, behind a step, are zero one and all."""
    names = []
    for optimizer, label in ((getattr(model, 'optimizer_g', None), 'g'), (getattr(model, 'optimizer_d', None), 'd')):
        net: nn.Module | None = getattr(model, f'net_{label}', None)
        if optimizer is None or net is None:
            continue
        gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
        if not any(bool(gradient.any()) for gradient in gradients):
            names.append(f'network_{label}')
    return names


def seconds_of_a_batch(loader: Any, sampler: Any) -> float:
    """How long one process takes to make a batch, by itself."""
    keys = list(itertools.islice(iter(sampler), loader.batch_size))
    start = time.perf_counter()
    for key in keys:
        loader.dataset[key]
    return time.perf_counter() - start
