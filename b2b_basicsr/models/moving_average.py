"""The moving average of G's weights, in one pass over all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from basicsr.models.base_model import BaseModel
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage(BaseModel):
    """Mixin of BasicSR's models: what ``model_ema`` does there, a weight at a time, done to all weights together."""

    net_g: nn.Module
    net_g_ema: nn.Module

    @torch.no_grad()
    def model_ema(self, decay: float = 0.999) -> None:
        """``net_g_ema = decay * net_g_ema + (1 - decay) * net_g``; 0 copies."""
        average: Callable[..., Any] = get_ema_multi_avg_fn(decay)
        trained = dict(self.get_bare_model(self.net_g).named_parameters())
        averaged = dict(self.net_g_ema.named_parameters())
        average(list(averaged.values()), [trained[name] for name in averaged], None)
