"""The option sections of DeblurModel."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator
from typing_extensions import Self

from b2b_basicsr.models.mixup import MixupOptions
from b2b_basicsr.models.progressive_patches import PatchStage
from b2b_basicsr.models.training_options import BaseTrainOptions, LossSection
from b2b_basicsr.options.section import PathText, Positive


def _or_none(schema: dict[str, Any]) -> None:
    schema['anyOf'] = [{'type': schema.pop('type'), 'items': schema.pop('items')}, {'type': 'null'}]


class DeblurTrainOptions(BaseTrainOptions):
    """``train``."""

    pixel_opt: LossSection | None = None
    """Loss of the pixels; this, `perceptual_opt` or both."""
    perceptual_opt: LossSection | None = None
    """Loss of features."""
    vgg_weights: PathText | None = None
    """VGG's weights for `PerceptualLoss`: `download`, a file of torchvision's, or what torch has downloaded before."""
    max_grad_norm: Positive | None = None
    """Larger gradients are scaled down to this norm, of all weights together; `~`: no clipping."""
    progressive_patches: list[PatchStage] = Field(default_factory=list, json_schema_extra=_or_none)
    """Stages of growing patches and shrinking batches, which are cut from what the loader gives; `~`: none."""
    mixup_opt: MixupOptions | None = None
    """Pairs mixed with others of the batch; `~`: none."""

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
