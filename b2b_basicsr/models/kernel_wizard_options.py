"""The option sections of KernelWizardModel."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from b2b_basicsr.models.training_options import OptimizerOptions, SchedulerOptions, TypedSection
from b2b_basicsr.options.section import Flag, Number, OptionSection, Whole


class KLOptions(OptionSection):
    """``train: kl_opt``."""

    weight: Annotated[Number, Field(ge=0)]


class KernelTrainOptions(OptionSection):
    """``train``."""

    ema_decay: Annotated[Number, Field(ge=0, lt=1)] = 0
    optim_g: OptimizerOptions
    scheduler: SchedulerOptions
    total_iter: Annotated[Whole, Field(gt=0)]
    warmup_iter: Whole = -1
    pixel_opt: TypedSection
    kl_opt: KLOptions | None = None
    amp: Literal['bf16'] | None = None
    channels_last: Flag = False
    compile: Literal[False] = False
