"""Learning rates that are held, and then fall until the end: the reference's, and Restormer's."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

from basicsr.models.base_model import BaseModel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class HeldThenFallingLR(LRScheduler):
    """Constant to iteration ``start``; from there on, a function of what is left until ``total_iter``.

    Args:
        optimizer: its parameter groups' ``lr`` is the constant.
        start: last iteration at the full rate.
        total_iter: iteration at which the fall would end; the one before it is the last that trains.
        last_epoch: as in PyTorch's schedulers.

    Raises:
        ValueError: if ``start`` is not within [0, total_iter).
    """

    def __init__(self, optimizer: Optimizer, start: int, total_iter: int, last_epoch: int = -1) -> None:
        if not 0 <= start < total_iter:
            raise ValueError(f'start is {start}; it must be at least 0 and less than total_iter, {total_iter}')
        self.start = start
        self.total_iter = total_iter
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:  # type: ignore[override]
        """The rate of each parameter group at the present iteration."""
        left = (self.total_iter - self.last_epoch) / (self.total_iter - self.start)
        left = max(0.0, min(1.0, left))
        return [self._rate(base, left) for base in self.base_lrs]  # type: ignore[arg-type]

    @abstractmethod
    def _rate(self, base: float, left: float) -> float:
        """The rate where ``left`` of the fall, 1 to 0, is still to come."""

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands; not its shape, so that a training can be resumed with a longer ``total_iter``."""
        return {'last_epoch': self.last_epoch, 'base_lrs': self.base_lrs}


class LinearDecayLR(HeldThenFallingLR):
    """Constant to iteration ``start``, then linear to 0 at ``total_iter``. Blur2Blur (CVPR 2024): a third, two thirds.

    Arguments and errors are :class:`HeldThenFallingLR`'s.
    """

    def _rate(self, base: float, left: float) -> float:
        return base * left


class ConstantCosineLR(HeldThenFallingLR):
    """Constant to iteration ``start``, then half a cosine to ``eta_min`` at ``total_iter``. Restormer (CVPR 2022).

    BasicSR's ``CosineAnnealingRestartLR`` has one ``eta_min`` for all its periods, so none of them can be constant.

    Args:
        optimizer: its parameter groups' ``lr`` is the constant.
        start: last iteration at the full rate; 0 is a plain cosine.
        total_iter: iteration at which the rate would be ``eta_min``; the one before it is the last that trains.
        eta_min: the rate at the end.
        last_epoch: as in PyTorch's schedulers.

    Raises:
        ValueError: if ``start`` is not within [0, total_iter).
    """

    def __init__(
        self, optimizer: Optimizer, start: int, total_iter: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.eta_min = eta_min
        super().__init__(optimizer, start, total_iter, last_epoch)

    def _rate(self, base: float, left: float) -> float:
        return self.eta_min + (base - self.eta_min) * (1 - math.cos(math.pi * left)) / 2


SCHEDULERS: dict[str, type[HeldThenFallingLR]] = {
    'LinearDecayLR': LinearDecayLR,
    'ConstantCosineLR': ConstantCosineLR,
}
"""``train: scheduler: type`` -> the schedules that BasicSR has not."""


class Schedules(BaseModel):
    """Mixin of BasicSR's models: ``train: scheduler`` may be one of :data:`SCHEDULERS`, too."""

    def setup_schedulers(self) -> None:
        """BasicSR's schedulers, and ours."""
        section = dict(self.opt['train']['scheduler'])
        scheduler = SCHEDULERS.get(section.pop('type'))
        if scheduler is None:
            super().setup_schedulers()
            return
        section['total_iter'] = int(self.opt['train']['total_iter'])
        self.schedulers += [scheduler(optimizer, **section) for optimizer in self.optimizers]
