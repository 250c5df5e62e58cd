"""The section ``val``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from b2b_basicsr.models.training_options import Count, TypedSection
from b2b_basicsr.options.section import Flag, Number, OptionSection, Whole


class MetricOptions(TypedSection):
    """One entry of ``val: metrics``."""

    better: Literal['higher', 'lower'] = 'higher'


class ValOptions(OptionSection):
    """``val``."""

    val_freq: Annotated[Whole | Number, Field(gt=0)] = 5000
    save_img: Flag = False
    suffix: str | None = None
    pbar: Flag = False
    metrics: dict[str, MetricOptions] | None = None
    best: str | None = None
    crop: Annotated[Whole, Field(gt=0)] | None = None
    tile: Annotated[Whole, Field(ge=64)] | None = None
    tile_overlap: Count = 32
    tb_pictures: Count = 4

    @model_validator(mode='after')
    def _fits(self) -> Self:
        if self.tile is not None and self.tile_overlap >= self.tile:
            raise ValueError(f'tile_overlap ({self.tile_overlap}) must be less than tile ({self.tile})')
        return self
