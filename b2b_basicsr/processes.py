"""What the processes of one training tell each other, beside gradients, and how they end together."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from b2b_basicsr.errors import ToldElsewhereError, UserError

T = TypeVar('T')

_PATIENCE = timedelta(days=7)
"""A share of a validation may take hours longer than another's; a process that has died is noticed at once anyway."""

HEAD_START = 2.0
"""Seconds in which the first process tells a mistake. torchrun ends all processes as soon as one of them has ended."""

_groups: dict[Any, Any] = {}


def this_process() -> tuple[int, int]:
    """Its rank, from 0, and how many there are; ``(0, 1)`` without a launcher."""
    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def gathered(value: T) -> list[T]:
    """Waits for all processes and gives the values of all, by rank; of one process, its own.

    Args:
        value: anything that can be pickled.
    """
    _, count = this_process()
    if count == 1:
        return [value]
    values: list[Any] = [None] * count
    dist.all_gather_object(values, value, group=_conversation())
    return values


def largest(number: int) -> int:
    """Waits for all processes and gives the largest of their numbers; a quick :func:`gathered`, for every step."""
    if this_process()[1] == 1:
        return number
    numbers = torch.tensor(number)
    dist.all_reduce(numbers, dist.ReduceOp.MAX, group=_conversation())
    return int(numbers)


def gathered_by_first(value: T) -> list[T] | None:
    """Like :func:`gathered`, for the first process alone; ``None`` for the others. All must call it."""
    rank, count = this_process()
    if count == 1:
        return [value]
    values: list[Any] | None = [None] * count if rank == 0 else None
    dist.gather_object(value, values, dst=0, group=_conversation())
    return values


@torch.no_grad()
def take_from_first(net: nn.Module, parameters: bool = True) -> None:
    """Gives every process the first one's buffers of a network and, unless they are left out, its parameters."""
    if this_process()[1] == 1:
        return
    for tensor in (*(net.parameters() if parameters else ()), *net.buffers()):
        sent = tensor.contiguous()  # NCCL takes no others; itself, where it is
        dist.broadcast(sent, 0)
        if sent is not tensor:
            tensor.copy_(sent)


@contextmanager
def failing_together() -> Iterator[None]:
    """A block that every process runs, each its own part of it: all wait at its end, and a mistake in one ends all.

    Nothing within it may wait for other processes (:func:`gathered` and all that ``torch.distributed`` has): one that
    made a mistake is at the block's end already, and its answer there would be taken for one to the other question.

    Raises:
        UserError: if any process raised one; the first of them, to be told by the process of rank 0. The others raise
            :class:`~b2b_basicsr.errors.ToldElsewhereError`, a little later.
    """
    failure: UserError | None = None
    try:
        yield
    except UserError as error:
        if this_process()[1] == 1:
            raise
        failure = error
    failures = [error for error in gathered(failure) if isinstance(error, UserError)]
    if not failures:
        return
    if this_process()[0] == 0:
        raise failures[0]
    time.sleep(HEAD_START)
    raise ToldElsewhereError(str(failures[0]))


def lost_the_others(error: BaseException) -> bool:
    """Whether an error says no more than that another process has ended: that one says why."""
    if this_process()[1] == 1 or not isinstance(error, RuntimeError):
        return False
    return isinstance(error, dist.DistError) or 'gloo/transport' in str(error)


def _conversation() -> Any:
    """A group of all processes, over gloo: no transfer of a GPU's waits meanwhile, which NCCL would soon give up."""
    world = dist.group.WORLD
    if world not in _groups:
        _groups.clear()  # of processes that have parted
        _groups[world] = dist.new_group(backend='gloo', timeout=_PATIENCE)
    return _groups[world]
