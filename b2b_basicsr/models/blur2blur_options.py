"""The option sections of Blur2BlurModel."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator
from typing_extensions import Self

from b2b_basicsr.models.training_options import (
    BasePathOptions,
    BaseTrainOptions,
    Count,
    OptimizerOptions,
    TypedSection,
    WeightOptions,
)
from b2b_basicsr.options.section import Flag, Whole


class TrainOptions(BaseTrainOptions):
    """``train``."""

    optim_d: OptimizerOptions
    perceptual_opt: TypedSection | None = None
    pixel_opt: TypedSection | None = None
    lpips_opt: TypedSection | None = None
    gan_opt: TypedSection
    gp_opt: WeightOptions | None = None
    vgg_weights: str = 'download'
    net_d_iters: Annotated[Whole, Field(gt=0)] = 1
    net_d_init_iters: Count = 0
    identity_start: Flag = False
    accum_iter: Annotated[Whole, Field(gt=0)] = 1

    @model_validator(mode='after')
    def _whole(self) -> Self:
        if self.perceptual_opt is None and self.pixel_opt is None and self.lpips_opt is None:
            raise ValueError(
                'no content loss: set at least one of perceptual_opt, pixel_opt and lpips_opt, or G is free to invent'
            )
        if self.scheduler.start is not None and self.scheduler.start >= self.total_iter:
            raise ValueError(f'scheduler:start ({self.scheduler.start}) is not before total_iter ({self.total_iter})')
        return self


class PathOptions(BasePathOptions):
    """``path``."""

    pretrain_network_d: str | None = None
    pretrain_network_k: str | None = None
    pretrain_network_deblur: str | None = None
    param_key_d: str | None = 'params'
    param_key_k: str | None = 'params'
    param_key_deblur: str | None = 'params'
    strict_load_d: Flag = True
    strict_load_k: Flag = True
    strict_load_deblur: Flag = True


def frozen_sections(options: dict[str, Any]) -> list[str]:
    """The ``network_*`` sections of an option file that are used and never trained.

    ``network_k`` is used in training with known pairs alone; with another source of K it may stand there for later.
    """
    train = (options.get('datasets') or {}).get('train') or {}
    used = {'network_k': train.get('dataroot_known_blur') is not None, 'network_deblur': True}
    return [key for key, is_used in used.items() if is_used and options.get(key)]
