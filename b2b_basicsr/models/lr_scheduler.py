"""The reference's learning rate."""

from __future__ import annotations

from typing import Any

from basicsr.models.base_model import BaseModel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class LinearDecayLR(LRScheduler):
    """Constant to iteration ``start``, then linear to 0 at ``total_iter``. Blur2Blur (CVPR 2024): a third, two thirds.

    Args:
        optimizer: its parameter groups' ``lr`` is the constant.
        start: last iteration at the full rate.
        total_iter: iteration at which the rate would be 0; the one before it is the last that trains.
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
        return [base * max(0.0, min(1.0, left)) for base in self.base_lrs]  # type: ignore[misc]

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands; not its shape, so that a training can be resumed with a longer ``total_iter``."""
        return {'last_epoch': self.last_epoch, 'base_lrs': self.base_lrs}


class Schedules(BaseModel):
    """Mixin of BasicSR's models: ``train: scheduler`` may be ``LinearDecayLR``, too."""

    def setup_schedulers(self) -> None:
        """BasicSR's schedulers, and ``LinearDecayLR``."""
        section = dict(self.opt['train']['scheduler'])
        if section.pop('type') != 'LinearDecayLR':
            super().setup_schedulers()
            return
        total_iter = int(self.opt['train']['total_iter'])
        self.schedulers += [LinearDecayLR(optimizer, total_iter=total_iter, **section) for optimizer in self.optimizers]
