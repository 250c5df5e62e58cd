"""The section ``val``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from b2b_basicsr.models.training_options import Count, TypedSection
from b2b_basicsr.options.section import Flag, Number, OptionSection, Whole
from b2b_basicsr.tiling import DEFAULT_OVERLAP, tile_starts


class MetricOptions(TypedSection):
    """One entry of ``val: metrics``."""

    better: Literal['higher', 'lower'] | None = None  # as the metric says, or higher


class ValOptions(OptionSection):
    """``val``: what every model of ours has."""

    val_freq: Annotated[Whole | Number, Field(gt=0)] = 5000
    save_img: Flag = False
    pbar: Flag = False
    metrics: dict[str, MetricOptions] | None = None
    best: str | None = None
    crop: Annotated[Whole, Field(gt=0)] | None = None


class RestorationValOptions(ValOptions):
    """``val`` of the models that restore pictures."""

    suffix: str | None = None
    tile: Annotated[Whole, Field(ge=64)] | None = None
    tile_overlap: Count = DEFAULT_OVERLAP
    tb_pictures: Count = 4

    @model_validator(mode='after')
    def _fits(self) -> Self:
        if self.tile is not None:
            try:
                tile_starts(self.tile, self.tile, self.tile_overlap)
            except ValueError as cause:
                raise ValueError(f'tile_overlap: {cause}') from None
        return self
