"""The parts of ``train`` and ``logger`` that our models have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from typing_extensions import Self

from b2b_basicsr.models.optimizer_options import OptimizerOptions, SchedulerOptions
from b2b_basicsr.options.section import (
    Decay,
    Flag,
    IterationCount,
    Iterations,
    NotNegative,
    OptionSection,
    PathText,
    PositiveCount,
    Text,
    Whole,
)

MAX_NONFINITE_STEPS = 100


class TypedSection(OptionSection):
    """A section whose ``type`` names something registered, which checks the other keys."""

    model_config = ConfigDict(extra='allow')

    type: Text
    """What is registered in BasicSR under this name."""


class LossSection(TypedSection):
    """A loss: one of those below, or another that is registered."""


class WandbOptions(OptionSection):
    """``logger: wandb``."""

    project: Text | None = None
    """Project at Weights & Biases; `~`: nothing is sent there."""
    resume_id: Text | None = None
    """The run that a resumed training goes on with there."""


class LoggerOptions(OptionSection):
    """``logger``."""

    print_freq: Iterations
    """Iterations between two lines of the log."""
    save_checkpoint_freq: Iterations
    """Iterations between two checkpoints (networks, and the state to resume from)."""
    use_tb_logger: Flag
    """Write to TensorBoard, too: `tb_logger/NAME`."""
    wandb: WandbOptions | None = None
    """Weights & Biases."""
    keep_checkpoints: Annotated[Whole, Field(ge=1)] | None = None
    """How many of the newest checkpoints (states and their networks) stay; ``~`` keeps all. ``net_*_best`` and
    ``net_*_latest`` always stay."""

    @model_validator(mode='after')
    def _wandb_through_tensorboard(self) -> Self:
        if self.wandb is not None and self.wandb.project is not None and not self.use_tb_logger:
            raise ValueError('wandb:project: what is sent is what TensorBoard gets: set use_tb_logger to true')
        return self


class WeightOptions(OptionSection):
    """A loss of ours that has nothing but a weight: ``train: gp_opt`` and ``kl_opt``."""

    weight: NotNegative
    """Factor of the loss."""


class BaseTrainOptions(OptionSection):
    """``train``: what every model of ours has."""

    ema_decay: Decay = 0
    """How slowly the average of G's weights follows them, in [0, 1); 0: no average. Where there is one, it is
    validated."""
    optim_g: OptimizerOptions
    """Optimiser of network_g."""
    scheduler: SchedulerOptions
    """Learning rate over the training."""
    total_iter: Iterations
    """Iterations of the training."""
    warmup_iter: Literal[-1] | IterationCount = -1
    """Iterations in which the learning rate rises from 0; -1: none."""
    amp: Literal['bf16', 'fp16'] | None = None
    """Precision: `bf16` takes half the time and less memory where the device has it, `fp16` is for GPUs without;
    `~`: float32."""
    channels_last: Flag = False
    """Memory layout; `true` is faster for most networks, with the same numbers up to rounding."""
    compile: Flag = False
    """`torch.compile`: minutes at the start, then less time a step."""
    max_nonfinite_steps: PositiveCount = MAX_NONFINITE_STEPS
    """Steps in a row whose losses or gradients are not finite before the training ends. Each of them is skipped: it
    changes nothing."""

    @model_validator(mode='after')
    def _falls_before_the_end(self) -> Self:
        start = getattr(self.scheduler, 'start', None)
        if start is not None and start >= self.total_iter:
            raise ValueError(f'scheduler:start: {start} is not before total_iter, {self.total_iter}')
        periods = getattr(self.scheduler, 'periods', None)
        # BasicSR's dies of it, at the first iteration beyond.
        if periods is not None and sum(periods) < self.total_iter - 1:
            raise ValueError(
                f'scheduler:periods: they last {sum(periods)} iterations, fewer than total_iter, {self.total_iter}'
            )
        return self


class BasePathOptions(OptionSection):
    """``path``: what every model of ours has. BasicSR makes a folder of every key that it does not know."""

    pretrain_network_g: PathText | None = None
    """Weights that network_g starts with, or is tested with: a `.pth` or `.safetensors` file."""
    param_key_g: Text | None = 'params'
    """Under which name of the file they are: `params`, or `params_ema` for the average; `~`: right in the file."""
    strict_load_g: Flag = True
    """`false`: weights that are missing or too many are left out."""
    resume_state: PathText | None = None
    """The state of an interrupted training to go on with, `experiments/NAME/training_states/N.state`.
    `--auto_resume` finds the newest one itself."""
    ignore_resume_networks: list[Text] | Text | None = None
    """Networks that a resumed training loads from `pretrain_network_*` all the same, as `[network_g]`."""
