"""The section ``val``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from typing_extensions import Self

from b2b_basicsr.models.training_options import TypedSection
from b2b_basicsr.options.section import Count, FileNamePart, Flag, Iterations, OptionSection, PositiveCount, Text, Whole
from b2b_basicsr.tiling import DEFAULT_OVERLAP, tile_starts


class MetricOptions(TypedSection):
    """One entry of ``val: metrics``: a metric of those below, or another that is registered."""

    better: Literal['higher', 'lower'] | None = None
    """Which score is better; `~`: as the metric says, or `higher`."""


class PixelMetricOptions(MetricOptions):
    """PSNR (`calculate_psnr`) or SSIM (`calculate_ssim`), BasicSR's."""

    model_config = ConfigDict(extra='forbid')

    type: Literal['calculate_psnr', 'calculate_ssim']
    """`calculate_psnr` or `calculate_ssim`"""
    crop_border: Count
    """Pixels to leave out along each edge."""
    input_order: Literal['HWC', 'CHW'] = 'HWC'
    """Order of the axes; ours is `HWC`."""
    test_y_channel: Flag = False
    """Compare luma alone."""


class NiqeOptions(MetricOptions):
    """NIQE, which needs no ground truth: BasicSR's `calculate_niqe`."""

    model_config = ConfigDict(extra='forbid')

    type: Literal['calculate_niqe']
    """`calculate_niqe`"""
    crop_border: Count
    """Pixels to leave out along each edge."""
    input_order: Literal['HWC', 'HW', 'CHW'] = 'HWC'
    """Order of the axes; ours is `HWC`."""
    convert_to: Literal['y', 'gray'] = 'y'
    """Luma as MATLAB's YCbCr has it, or OpenCV's grey."""


BASICSR_METRICS: dict[str, type[MetricOptions]] = {
    'calculate_psnr': PixelMetricOptions,
    'calculate_ssim': PixelMetricOptions,
    'calculate_niqe': NiqeOptions,
}
"""``type`` -> the section."""


class ValOptions(OptionSection):
    """``val``: what every model of ours has."""

    val_freq: Iterations = 5000
    """Iterations between two validations."""
    save_img: Flag = False
    """Write the pictures that are made."""
    pbar: Flag = False
    """Show how far a validation is."""
    metrics: dict[Text, MetricOptions] | None = None
    """Name -> metric. The names are yours; scores are logged and kept under them."""
    best: Text | None = None
    """What chooses `net_g_best.pth`: a metric of the first validation set, or `SET/METRIC`; `~`: nothing does."""
    crop: PositiveCount | None = None
    """Score the square centre of so many pixels of each picture alone; `~`: the whole of it."""


class RestorationValOptions(ValOptions):
    """``val`` of the models that restore pictures."""

    suffix: FileNamePart | None = None
    """Of the pictures that a test saves; `~`: the file's `name`."""
    tile: Annotated[Whole, Field(ge=64)] | None = None
    """Run the networks on tiles of so many pixels, a multiple of 32; `~`: on whole pictures."""
    tile_overlap: Count = DEFAULT_OVERLAP
    """Pixels within which tiles are blended; 32 less than the tile at most."""
    tb_pictures: Count = 4
    """Pictures of each set that go to TensorBoard and W&B."""

    @model_validator(mode='after')
    def _fits(self) -> Self:
        if self.tile is not None:
            try:
                tile_starts(self.tile, self.tile, self.tile_overlap)
            except ValueError as cause:
                raise ValueError(f'tile_overlap: {cause}') from None
        return self
