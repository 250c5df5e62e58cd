"""The option sections of DeblurModel."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator
from typing_extensions import Self

from b2b_basicsr.models.mixup import MixupOptions
from b2b_basicsr.models.progressive_patches import PatchStage
from b2b_basicsr.models.training_options import BaseTrainOptions, Positive, TypedSection


class DeblurTrainOptions(BaseTrainOptions):
    """``train``."""

    pixel_opt: TypedSection | None = None
    perceptual_opt: TypedSection | None = None
    vgg_weights: str = 'download'
    max_grad_norm: Positive | None = None
    progressive_patches: list[PatchStage] = Field(default_factory=list)
    mixup_opt: MixupOptions | None = None

    @field_validator('progressive_patches', mode='before')
    @classmethod
    def _none(cls, stages: Any) -> Any:
        return [] if stages is None else stages

    @model_validator(mode='after')
    def _whole(self) -> Self:
        if self.pixel_opt is None and self.perceptual_opt is None:
            raise ValueError('no loss: set pixel_opt, perceptual_opt or both')
        lasting = sum(stage.iterations for stage in self.progressive_patches)
        if self.progressive_patches and lasting != self.total_iter:
            raise ValueError(
                f'progressive_patches: the stages last {lasting} iterations in all, and total_iter is '
                f'{self.total_iter}; make them equal'
            )
        return self
