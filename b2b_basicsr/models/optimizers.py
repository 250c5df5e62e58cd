"""Optimisers by BasicSR's option sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from basicsr.models.base_model import BaseModel

from b2b_basicsr.errors import UserError

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {'Adam': torch.optim.Adam, 'AdamW': torch.optim.AdamW}
"""``train: optim_*: type`` -> optimiser. BasicSR 1.4.2 has Adam alone."""

_WAYS = ('fused', 'foreach', 'differentiable')
"""Of doing the same update; one at most."""


def optimizer_options(section: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an optimiser: those of its option section, fused unless that names another way."""
    return dict(section) if any(way in section for way in _WAYS) else {**section, 'fused': True}


class Optimizers(BaseModel):
    """Mixin of BasicSR's models: one of :data:`OPTIMIZERS`, fused.

    The fused form updates all weights in one pass over them, where the others make some ten, an operation each; the
    numbers are the same up to rounding. ``fused: false`` in the option section goes back.
    """

    optimizers: list[torch.optim.Optimizer]

    def get_optimizer(self, optim_type: str, params: Any, lr: float, **kwargs: Any) -> torch.optim.Optimizer:
        """The optimiser of ``optim_type`` over ``params``.

        Raises:
            UserError: if it is unknown.
        """
        if optim_type not in OPTIMIZERS:
            raise UserError(f'train: optimizer type {optim_type!r} is unknown; known are {", ".join(OPTIMIZERS)}')
        return OPTIMIZERS[optim_type](params, lr=lr, **optimizer_options(kwargs))  # type: ignore[call-arg]

    def resume_training(self, resume_state: Mapping[str, Any]) -> None:
        """As the models below; the optimisers go on in the way that the option file asks for, not the state's."""
        # Before they are loaded: where a state's numbers go to hangs on the way. How many there are, torch compares.
        optimizers = zip(resume_state['optimizers'], self.optimizers, strict=False)
        states = [{**state, 'param_groups': _as_now(state['param_groups'], now)} for state, now in optimizers]
        super().resume_training({**resume_state, 'optimizers': states})


def _as_now(groups: list[dict[str, Any]], now: torch.optim.Optimizer) -> list[dict[str, Any]]:
    ways = {way: now.defaults[way] for way in _WAYS if way in now.defaults}
    return [{**group, **ways} for group in groups]
