"""The option section of UnpairedBlurDataset."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from typing_extensions import Self

from b2b_basicsr.data.camera_shake import CameraShake
from b2b_basicsr.data.crop_augmentation import CropAugmentation
from b2b_basicsr.data.frame_mean import FrameMean
from b2b_basicsr.data.known_noise import KnownNoise
from b2b_basicsr.data.loader_options import LoaderOptions
from b2b_basicsr.options.section import CropSide, Flag, Number, PathText, PositiveCount, Text


def _divisible_by_four(size: int) -> int:
    if size % 4:
        raise ValueError('must be a multiple of 4, for the quarter and half scales')
    return size


class UnpairedBlurOptions(LoaderOptions):
    """Keys of a ``datasets: train`` section with ``type: UnpairedBlurDataset``; see that class."""

    type: Literal['UnpairedBlurDataset']
    """`UnpairedBlurDataset`"""
    name: Text = 'train'
    """What the log calls it."""
    dataroot_blur: PathText
    """B: folder of blurry pictures of the camera, at any depth; or an LMDB."""
    dataroot_sharp: PathText | None = None
    """S: sharp pictures of the same camera, of other scenes."""
    dataroot_known_blur: PathText | None = None
    """Source 1 of K, with `dataroot_known_sharp`: pairs of the known set, matched by relative path, whose blur
    network_k carries over to S."""
    dataroot_known_sharp: PathText | None = None
    """The pairs' sharp halves."""
    dataroot_known: PathText | None = None
    """Source 5 of K: ready-made, at S's scale (`b2b prepare known`, or yours)."""
    synth_known_opt: CameraShake | None = None
    """Source 2 and 3 of K: a parametric camera shake of S."""
    frame_mean_opt: FrameMean | None = None
    """Source 4 of K: the mean of consecutive frames, where S is sharp videos at a high rate."""
    known_noise_opt: KnownNoise | None = None
    """Sensor noise for K of source 1 or 5, added in training; `~`: none, as in the reference. The other sources have
    noise keys of their own."""
    augment_opt: CropAugmentation | None = None
    """Variation of crops, for those with few pictures; `~`: none."""
    ratio: Annotated[Number, Field(gt=0, lt=1)] | None = None
    """Where B and S come from one list: B keeps the first floor(ratio * n), S the rest; `~`: both are whole."""
    resize: PositiveCount | None = None
    """Shorter side of B, S and a ready-made K, antialiased bicubic; `~`: pictures are left as they are."""
    gt_size: Annotated[CropSide, Field(json_schema_extra={'multipleOf': 4}), AfterValidator(_divisible_by_four)]
    """Side of the random crop in pixels, a multiple of 4."""
    use_hflip: Flag = True
    """Mirror some crops."""
    use_rot: Flag = False
    """Turn some crops by 90 degrees, known pictures too: only for a deblurrer that knows its blur in all directions."""

    @model_validator(mode='after')
    def _one_source_of_known_blur(self) -> Self:
        pairs = self.dataroot_known_blur is not None, self.dataroot_known_sharp is not None
        sources = {
            'dataroot_known': self.dataroot_known is not None,
            'dataroot_known_blur with dataroot_known_sharp': any(pairs),
            'synth_known_opt': self.synth_known_opt is not None,
            'frame_mean_opt': self.frame_mean_opt is not None,
        }
        given = [name for name, there in sources.items() if there]
        if len(given) != 1:
            found = f'found {len(given)}: {" and ".join(given)}' if given else 'found none'
            raise ValueError(f'exactly one source of the known blur K is needed ({", or ".join(sources)}); {found}')
        if any(pairs) and not all(pairs):
            raise ValueError('dataroot_known_blur and dataroot_known_sharp go together; one of them is missing')
        if self.dataroot_sharp is None and self.dataroot_known is None:
            raise ValueError('dataroot_sharp: missing; K is made from S, the sharp pictures of the same camera')
        noisy = next((name for name in ('synth_known_opt', 'frame_mean_opt') if sources[name]), None)
        if self.known_noise_opt is not None and noisy is not None:
            raise ValueError(
                f'known_noise_opt: {noisy} has noise of its own: set shot_noise and read_noise there, leave this out'
            )
        if self.resize is not None and self.resize < self.gt_size:
            raise ValueError(f'resize: {self.resize} is smaller than the crop, gt_size ({self.gt_size})')
        return self

    def share(self, names: list[str], first: bool) -> list[str]:
        """B's (``first``) or S's share of a sorted list: the first floor(ratio * n), or all the others."""
        if self.ratio is None:
            return names
        border = math.floor(self.ratio * len(names))
        return names[:border] if first else names[border:]
