"""The parts of ``train`` and ``logger`` that our models have in common."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from typing_extensions import Self

from b2b_basicsr.models.lr_scheduler import SCHEDULERS
from b2b_basicsr.options.section import Flag, Number, OptionSection, Whole

Positive = Annotated[Number, Field(gt=0)]
Count = Annotated[Whole, Field(ge=0)]


class TypedSection(OptionSection):
    """A section whose ``type`` names something registered, which checks the other keys."""

    model_config = ConfigDict(extra='allow')

    type: str


class OptimizerOptions(TypedSection):
    """``train: optim_g`` and ``optim_d``."""

    lr: Positive
    weight_decay: Annotated[Number, Field(ge=0)] = 0
    betas: tuple[Number, Number] = (0.9, 0.999)


class SchedulerOptions(TypedSection):
    """``train: scheduler``: BasicSR's, or one of ours, which need ``start``."""

    start: Count | None = None
    eta_min: Annotated[Number, Field(ge=0)] | None = None

    @model_validator(mode='after')
    def _start_of_decay(self) -> Self:
        if self.type in SCHEDULERS and self.start is None:
            raise ValueError(f'{self.type} needs start: the last iteration at the full learning rate')
        return self


class LoggerOptions(OptionSection):
    """``logger``."""

    print_freq: Annotated[Whole | Number, Field(gt=0)]
    save_checkpoint_freq: Annotated[Whole | Number, Field(gt=0)]
    use_tb_logger: Flag
    wandb: dict[str, Any] | None = None


class WeightOptions(OptionSection):
    """A loss of ours that has nothing but a weight: ``train: gp_opt`` and ``kl_opt``."""

    weight: Annotated[Number, Field(ge=0)]


class BaseTrainOptions(OptionSection):
    """``train``: what every model of ours has."""

    ema_decay: Annotated[Number, Field(ge=0, lt=1)] = 0
    optim_g: OptimizerOptions
    scheduler: SchedulerOptions
    total_iter: Annotated[Whole, Field(gt=0)]
    warmup_iter: Whole = -1
    amp: Literal['bf16', 'fp16'] | None = None
    channels_last: Flag = False
    compile: Flag = False


class BasePathOptions(OptionSection):
    """``path``: what every model of ours has. BasicSR makes a folder of every key that it does not know."""

    pretrain_network_g: str | None = None
    param_key_g: str | None = 'params'
    strict_load_g: Flag = True
    resume_state: str | None = None
    ignore_resume_networks: list[str] | str | None = None

    # Folders, which BasicSR's parser adds.
    experiments_root: str | None = None
    models: str | None = None
    training_states: str | None = None
    log: str | None = None
    visualization: str | None = None
    results_root: str | None = None
