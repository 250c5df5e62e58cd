"""The moving average of G's weights, in one pass over all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from b2b_basicsr.models.placement import Placement
from b2b_basicsr.processes import take_from_first


class MovingAverage(Placement):
    """Mixin of BasicSR's models: what ``model_ema`` does there, a weight at a time, done to all weights together."""

    net_g_ema: nn.Module

    def init_training_settings(self) -> None:
        """BasicSR's, and the average in the memory format of what it is an average of, the same in all processes.

        What a checkpoint lacks (``strict_load_g: false``) each process would have drawn for itself.
        """
        super().init_training_settings()
        if hasattr(self, 'net_g_ema'):
            self.net_g_ema.to(memory_format=self._memory_format)
            take_from_first(self.net_g_ema)

    @torch.no_grad()
    def model_ema(self, decay: float = 0.999, unless: Tensor | None = None) -> None:
        """``net_g_ema = decay * net_g_ema + (1 - decay) * net_g``; 0 copies.

        Buffers are copied: running statistics are averages already, and BasicSR's would keep the first ones.

        Args:
            decay: what is kept of the average, in [0, 1].
            unless: bool, a scalar on a GPU: where it is true, the average stays as it is.
        """
        trained = dict(self.get_bare_model(self.net_g).named_parameters())
        averaged = dict(self.net_g_ema.named_parameters())
        buffers = dict(self.get_bare_model(self.net_g).named_buffers())
        for name, kept in self.net_g_ema.named_buffers():
            kept.copy_(buffers[name] if unless is None else torch.where(unless, kept, buffers[name]))
        averages: list[Tensor] = [*averaged.values()]
        weights: list[Tensor] = [trained[name] for name in averaged]
        if unless is None:
            average: Callable[..., Any] = get_ema_multi_avg_fn(decay)
            average(averages, weights, None)
            return
        # A share that the device knows alone. There is no lerp of many tensors by one share that is a tensor itself.
        changes = torch._foreach_sub(weights, averages)
        torch._foreach_mul_(changes, torch.where(unless, 0.0, 1 - decay))
        torch._foreach_add_(averages, changes)
