"""The sections of optimisers and of learning rate schedules."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from b2b_basicsr.options.section import Decay, Flag, IterationCount, Iterations, NotNegative, OptionSection, Positive

_Counts = Annotated[list[IterationCount], Field(min_length=1)]
_Weights = Annotated[list[NotNegative], Field(min_length=1)]


class OptimizerOptions(OptionSection):
    """``train: optim_g`` and ``optim_d``: torch's Adam or AdamW, fused."""

    type: Literal['Adam', 'AdamW']
    """`Adam`, or `AdamW`, whose `weight_decay` is apart from the gradient."""
    lr: Positive
    """Learning rate at the start."""
    weight_decay: NotNegative = 0
    """Pull of the weights towards 0."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """How long the gradient's mean and its square's are remembered, each in [0, 1)."""
    eps: Positive = 1e-8
    """Keeps the step finite where gradients vanish."""
    amsgrad: Flag = False
    """Divide by the largest mean square so far."""
    maximize: Flag = False
    """Climb instead of descending."""
    fused: Flag | None = None
    """Update all weights in one pass, as is done if none of the three ways is named; `false` goes back."""
    foreach: Flag | None = None
    """Update all weights operation by operation: torch's own choice on GPUs."""
    differentiable: Flag | None = None
    """Let gradients flow through the update; slow, and of no use here."""

    @model_validator(mode='after')
    def _one_way(self) -> Self:
        ways = [name for name in ('fused', 'foreach', 'differentiable') if getattr(self, name)]
        if len(ways) > 1:
            raise ValueError(f'{" and ".join(ways)} go not together; set one of them at most')
        return self


class LinearDecayOptions(OptionSection):
    """Constant to iteration `start`, then linear to 0 at `total_iter`: the reference's."""

    type: Literal['LinearDecayLR']
    """`LinearDecayLR`"""
    start: IterationCount
    """The last iteration at the full learning rate."""


class ConstantCosineOptions(OptionSection):
    """Constant to iteration `start`, then half a cosine to `eta_min` at `total_iter`: Restormer's."""

    type: Literal['ConstantCosineLR']
    """`ConstantCosineLR`"""
    start: IterationCount
    """The last iteration at the full learning rate; 0 is a plain cosine."""
    eta_min: NotNegative = 0.0
    """The learning rate at the end."""


class MultiStepOptions(OptionSection):
    """Falls by a factor at each milestone (BasicSR's)."""

    type: Literal['MultiStepLR', 'MultiStepRestartLR']
    """`MultiStepLR` or `MultiStepRestartLR`, which are one."""
    milestones: list[IterationCount]
    """Iterations at which the learning rate falls."""
    gamma: Positive = 0.1
    """The factor."""
    restarts: _Counts = Field(default=[0])
    """Iterations at which it starts again."""
    restart_weights: _Weights = Field(default=[1])
    """Factor of the learning rate from each restart on."""

    @model_validator(mode='after')
    def _a_weight_for_each(self) -> Self:
        if len(self.restarts) != len(self.restart_weights):
            raise ValueError(
                f'restart_weights: {len(self.restart_weights)} for {len(self.restarts)} restarts; give one for each'
            )
        return self


class CosineRestartOptions(OptionSection):
    """Half a cosine in each of several periods (BasicSR's)."""

    type: Literal['CosineAnnealingRestartLR']
    """`CosineAnnealingRestartLR`"""
    periods: Annotated[list[Iterations], Field(min_length=1)]
    """Iterations of each period; `total_iter` in all, at least."""
    restart_weights: _Weights = Field(default=[1])
    """Factor of the learning rate in each period."""
    eta_min: NotNegative = 0.0
    """The learning rate at the end of each period."""

    @model_validator(mode='after')
    def _a_weight_for_each(self) -> Self:
        if len(self.periods) != len(self.restart_weights):
            raise ValueError(
                f'restart_weights: {len(self.restart_weights)} for {len(self.periods)} periods; give one for each'
            )
        return self


SchedulerOptions = Annotated[
    LinearDecayOptions | ConstantCosineOptions | MultiStepOptions | CosineRestartOptions, Field(discriminator='type')
]
"""``train: scheduler``."""
