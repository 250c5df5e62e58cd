"""Steps whose losses or gradients are not finite: they change nothing, are counted, and end the training if many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from basicsr.utils import get_root_logger
from torch import Tensor, nn

from b2b_basicsr.errors import UserError
from b2b_basicsr.models.moving_average import MovingAverage
from b2b_basicsr.models.training_files import TrainingFiles
from b2b_basicsr.models.training_log import TrainingLog
from b2b_basicsr.models.training_options import MAX_NONFINITE_STEPS
from b2b_basicsr.models.write_failures import last_whole_state
from b2b_basicsr.processes import failing_together

_UNREAD_AT_MOST = 100
"""Steps; a GPU that is asked how they went has to have done them first."""


@dataclass(frozen=True)
class _Outcome:
    """What was finite in one step.

    Args:
        iteration: its number.
        losses: whose flags come first.
        networks: whose gradients' flags come behind them.
        flags: float32 [losses + networks] on the device, 1 where something was not finite, in any process.
    """

    iteration: int
    losses: tuple[str, ...]
    networks: tuple[str, ...]
    flags: Tensor


class _Kept:
    """Tensors as they were, and an optimiser with its weights, to be put back."""

    def __init__(self, tensors: Sequence[Tensor], optimizers: Sequence[torch.optim.Optimizer]) -> None:
        self._optimizers = optimizers
        kept = [*tensors, *(tensor for optimizer in optimizers for tensor in _weights_and_state(optimizer))]
        self._tensors = [tensor.detach() for tensor in kept]
        self._copies = [torch.empty_like(tensor) for tensor in self._tensors]
        if kept:
            torch._foreach_copy_(self._copies, self._tensors)

    @torch.no_grad()
    def put_back(self, where: Tensor) -> None:
        """Does so where ``where``, bool and a scalar, is true: on the device, which nobody waits for."""
        for tensor, copy in zip(self._tensors, self._copies, strict=True):
            torch.where(where.to(tensor.device), copy, tensor, out=tensor)
        # What an optimiser made in its first step was nought.
        known = {tensor.data_ptr() for tensor in self._tensors}
        for optimizer in self._optimizers:
            for tensor in _weights_and_state(optimizer):
                if tensor.data_ptr() not in known:
                    tensor.masked_fill_(where.to(tensor.device), 0)


def _weights_and_state(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    for group in optimizer.param_groups:
        for weight in group['params']:
            yield weight.detach()
            yield from (entry for entry in optimizer.state.get(weight, {}).values() if isinstance(entry, Tensor))


def _all_finite(tensors: list[Tensor], device: torch.device) -> Tensor:
    if not tensors:
        return torch.ones((), dtype=torch.bool, device=device)
    return torch.stack(torch._foreach_norm(tensors)).isfinite().all()


class GuardedStep:
    """One training step, of one optimiser or of several, one after the other.

    Args:
        scaler: of ``amp: fp16``; one that is not enabled does nothing.
        device: where the losses are.
        together: several processes train, and must decide alike.
        at_once: whether the device is asked after each half how it went. Else nobody waits for it, and it leaves out
            itself what must not be done.
    """

    def __init__(self, scaler: torch.amp.GradScaler, device: torch.device, together: bool, at_once: bool) -> None:
        self._scaler, self._together, self.at_once = scaler, together, at_once
        self.is_skipped = torch.zeros((), dtype=torch.bool, device=device)
        self._flags: dict[str, Tensor] = {}
        self._gradient_flags: dict[str, Tensor] = {}

    def take(self, name: str, optimizer: torch.optim.Optimizer, losses: Mapping[str, Tensor]) -> bool:
        """Updates weights, unless a loss or a gradient is not finite, in this half of the step or one before.

        Args:
            name: of the network, for messages.
            optimizer: of its weights; their gradients are there, without the scaler's scale.
            losses: scalars by name; those that begin with ``l_`` and are not known from an earlier half are looked at.

        Returns:
            Whether there is a reason to go on with the step; without ``at_once`` always.
        """
        named = {key: loss for key, loss in losses.items() if key.startswith('l_') and key not in self._flags}
        gradients = [
            weight.grad for group in optimizer.param_groups for weight in group['params'] if weight.grad is not None
        ]
        sound = [loss.detach().isfinite() for loss in named.values()]
        found = torch.stack([*sound, _all_finite(gradients, self.is_skipped.device)])
        flags = (~found).float()
        if self._together:
            dist.all_reduce(flags, dist.ReduceOp.MAX)
        self._flags |= dict(zip(named, flags, strict=False))
        self._gradient_flags[name] = flags[-1]
        # Gradients that are too large for fp16 are the scaler's affair, and no reason to leave out G's half.
        self.is_skipped = self.is_skipped | (flags[:-1] if self._scaler.is_enabled() else flags).any()
        held_back = (self.is_skipped | flags[-1].bool()).float()
        if optimizer.defaults.get('fused'):
            optimizer.found_inf = held_back  # type: ignore[attr-defined]
            optimizer.step()
            del optimizer.found_inf  # type: ignore[attr-defined]
        elif not held_back.item():
            optimizer.step()
        return not (self.at_once and self.is_skipped.item())

    def update_scale(self) -> None:
        """The scaler's, which a step that is skipped leaves as it was: else one bad picture an epoch would sink it."""
        if not self._scaler.is_enabled():
            return
        one = torch.ones((), device=self.is_skipped.device)
        before = self._scaler.scale(one)
        self._scaler.update()
        self._scaler.update(torch.where(self.is_skipped, before, self._scaler.scale(one)))

    def outcome(self, iteration: int) -> _Outcome:
        """What was finite."""
        flags = torch.stack([*self._flags.values(), *self._gradient_flags.values()])
        return _Outcome(iteration, tuple(self._flags), tuple(self._gradient_flags), flags)


class FiniteSteps(MovingAverage, TrainingLog, TrainingFiles):
    """Mixin of BasicSR's models: a step with a loss or a gradient that is not finite leaves the training as it was.

    That is weights, optimisers, buffers such as running statistics, the moving average and the scaler's scale; what
    the model's own generator drew stays drawn. Such steps are counted, in a state, too. ``train: max_nonfinite_steps``
    in a row end the training. On a GPU they are noticed when the log is written or a state is saved, or within
    :data:`_UNREAD_AT_MOST` steps: nothing hangs on it, since the device itself leaves them out.
    """

    optimizers: list[torch.optim.Optimizer]
    optimizer_g: torch.optim.Optimizer
    ema_decay: float
    _skipped = 0
    _skipped_in_a_row = 0
    _last_skipped = ''

    def init_training_settings(self) -> None:
        """BasicSR's."""
        self._unread: list[_Outcome] = []
        super().init_training_settings()

    @contextmanager
    def _guarded_step(self, iteration: int, undo: Sequence[torch.optim.Optimizer] = ()) -> Iterator[GuardedStep]:
        """Within it, a step is done by :meth:`GuardedStep.take`.

        Args:
            iteration: its number.
            undo: optimisers whose weights have to be put back when a later half of the step is not finite.

        Raises:
            UserError: if too many steps in a row were skipped.
        """
        at_once = self._knows_at_once
        step = GuardedStep(self.scaler, self.device, bool(self.opt['dist']), at_once)
        buffers = [buffer for net in self._trained_networks() for buffer in net.buffers()]
        kept = _Kept(buffers, undo)
        yield step
        if not at_once or step.is_skipped.item():
            kept.put_back(step.is_skipped)
        step.update_scale()
        self._unread.append(step.outcome(iteration))
        if at_once or len(self._unread) >= min(self._most_in_a_row, _UNREAD_AT_MOST):
            self._read_outcomes()
            self._stop_if_too_many()

    def _update_g(self, step: GuardedStep, losses: Mapping[str, Tensor]) -> None:
        """G's weights, and their moving average."""
        if step.take('net_g', self.optimizer_g, losses) and self.ema_decay > 0:
            self.model_ema(self.ema_decay, unless=None if step.at_once else step.is_skipped)

    @property
    def _knows_at_once(self) -> bool:
        """Whether each step's outcome is read when it is done; other than fused optimisers cannot do without."""
        return self.device.type == 'cpu' or not all(one.defaults.get('fused') for one in self.optimizers)

    def _trained_networks(self) -> list[nn.Module]:
        nets = [getattr(self, name, None) for name in ('net_g', 'net_d')]
        return [net for net in nets if net is not None]

    @property
    def _most_in_a_row(self) -> int:
        return int(self.opt['train'].get('max_nonfinite_steps', MAX_NONFINITE_STEPS))

    def _read_outcomes(self) -> None:
        """Waits for the device, counts the steps that it has skipped, and tells of the first of a row."""
        outcomes, self._unread = self._unread, []
        if not outcomes:
            return
        flags = iter(torch.cat([outcome.flags for outcome in outcomes]).tolist())
        for outcome in outcomes:
            losses = [name for name in outcome.losses if next(flags)]
            networks = [name for name in outcome.networks if next(flags)]
            if not losses and (not networks or self._is_finding_its_scale()):
                self._skipped_in_a_row = 0
                continue
            self._skipped += 1
            self._skipped_in_a_row += 1
            found = ', '.join(losses or [f'gradients of {name}' for name in networks])
            self._last_skipped = f'iteration {outcome.iteration}: {found} not finite'
            if self._skipped_in_a_row == 1:
                get_root_logger().warning(f'{self._last_skipped}: the step was skipped ({self._skipped} so far)')

    def _is_finding_its_scale(self) -> bool:
        """Whether gradients that are not finite, of finite losses, may be no more than fp16's narrow range."""
        return self.scaler.is_enabled() and self.scaler.get_scale() >= 1

    def _stop_if_too_many(self) -> None:
        """All processes have seen the same.

        Raises:
            UserError: if too many steps in a row were skipped.
        """
        if self._skipped_in_a_row < self._most_in_a_row:
            return
        coarse = {'fp16': 'amp: bf16 or ~ instead of fp16, ', 'bf16': 'amp: ~ instead of bf16, '}
        amp = coarse.get(self.opt['train'].get('amp'), '')
        with failing_together():
            raise UserError(
                f'{self._last_skipped}, and the last {self._skipped_in_a_row} steps were skipped for it '
                f'(train: max_nonfinite_steps: {self._most_in_a_row}); '
                f'{self._last_good_state()}; try a lower lr, {amp}and look at the pictures'
            )

    def _last_good_state(self) -> str:
        # One that was saved while steps were skipped is as good: they have changed nothing.
        state = last_whole_state(self.opt)
        return 'no whole state has been saved' if state is None else f'the last good state is {state}'

    def get_current_log(self) -> Mapping[str, float]:
        """The last step's losses, and ``skipped``, how many steps were, if any.

        Raises:
            UserError: if too many steps in a row were skipped.
        """
        self._read_outcomes()
        self._stop_if_too_many()
        log = super().get_current_log()
        return {**log, 'skipped': float(self._skipped)} if self._skipped else log

    def save_training_state(self, epoch: int, current_iter: int) -> None:
        """As the models below. What is saved is sound whatever the steps were: one that is skipped changes nothing."""
        self._read_outcomes()
        super().save_training_state(epoch, current_iter)

    def kept_in_state(self) -> dict[str, Any]:
        """As the models below; and ``skipped_steps``: how many in all, and in a row at the end."""
        counts = {'total': self._skipped, 'in_a_row': self._skipped_in_a_row}
        return {**super().kept_in_state(), 'skipped_steps': counts}

    def resume_training(self, resume_state: Mapping[str, Any]) -> None:
        """As the models below; goes on counting."""
        super().resume_training(resume_state)
        counts = resume_state.get('skipped_steps') or {}
        self._unread = []
        self._skipped, self._skipped_in_a_row = int(counts.get('total', 0)), int(counts.get('in_a_row', 0))
