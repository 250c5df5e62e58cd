"""Optimisers by BasicSR's option sections."""

from __future__ import annotations

from typing import Any

import torch
from basicsr.models.base_model import BaseModel

from b2b_basicsr.errors import UserError

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {'Adam': torch.optim.Adam, 'AdamW': torch.optim.AdamW}
"""``train: optim_*: type`` -> optimiser. BasicSR 1.4.2 has Adam alone."""


class Optimizers(BaseModel):
    """Mixin of BasicSR's models: one of :data:`OPTIMIZERS`, fused.

    The fused form updates all weights in one pass over them, where the others make some ten, an operation each; the
    numbers are the same up to rounding. ``fused: false`` in the option section goes back.
    """

    def get_optimizer(self, optim_type: str, params: Any, lr: float, **kwargs: Any) -> torch.optim.Optimizer:
        """The optimiser of ``optim_type`` over ``params``.

        Raises:
            UserError: if it is unknown.
        """
        if optim_type not in OPTIMIZERS:
            raise UserError(f'train: optimizer type {optim_type!r} is unknown; known are {", ".join(OPTIMIZERS)}')
        kwargs.setdefault('fused', True)
        return OPTIMIZERS[optim_type](params, lr=lr, **kwargs)  # type: ignore[call-arg]
