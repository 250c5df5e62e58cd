"""The section ``val``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from b2b_basicsr.models.training_options import TypedSection
from b2b_basicsr.options.section import Flag, Number, OptionSection, Whole


class MetricOptions(TypedSection):
    """One entry of ``val: metrics``."""

    better: Literal['higher', 'lower'] = 'higher'


class ValOptions(OptionSection):
    """``val``: what every model of ours has."""

    val_freq: Annotated[Whole | Number, Field(gt=0)] = 5000
    save_img: Flag = False
    pbar: Flag = False
    metrics: dict[str, MetricOptions] | None = None
    best: str | None = None
    crop: Annotated[Whole, Field(gt=0)] | None = None
