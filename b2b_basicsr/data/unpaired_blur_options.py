"""The option section of UnpairedBlurDataset."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator
from typing_extensions import Self

from b2b_basicsr.data.camera_shake import CameraShake
from b2b_basicsr.data.crop_augmentation import CropAugmentation
from b2b_basicsr.data.frame_mean import FrameMean
from b2b_basicsr.options.section import Flag, Number, OptionSection, Whole


def _divisible_by_four(size: int) -> int:
    if size % 4:
        raise ValueError('must be a multiple of 4, for the quarter and half scales')
    return size


class UnpairedBlurOptions(OptionSection):
    """Keys of a ``datasets: train`` section with ``type: UnpairedBlurDataset``; see that class."""

    type: Literal['UnpairedBlurDataset']
    name: str = 'train'
    dataroot_blur: str
    dataroot_sharp: str | None = None
    dataroot_known_blur: str | None = None
    dataroot_known_sharp: str | None = None
    dataroot_known: str | None = None
    synth_known_opt: CameraShake | None = None
    frame_mean_opt: FrameMean | None = None
    augment_opt: CropAugmentation | None = None
    ratio: Annotated[Number, Field(gt=0, lt=1)] | None = None
    resize: Annotated[Whole, Field(gt=0)] | None = None
    gt_size: Annotated[Whole, Field(gt=0), AfterValidator(_divisible_by_four)]
    use_hflip: Flag = True
    use_rot: Flag = False
    io_backend: dict[str, Any]

    # BasicSR's own keys, read by its loaders.
    batch_size_per_gpu: Annotated[Whole, Field(gt=0)]
    num_worker_per_gpu: Annotated[Whole, Field(ge=0)] = 0
    dataset_enlarge_ratio: Annotated[Number, Field(gt=0)] = 1
    prefetch_mode: Literal['cpu', 'cuda'] | None = None
    num_prefetch_queue: Annotated[Whole, Field(gt=0)] = 1
    pin_memory: Flag = False
    persistent_workers: Flag = False
    phase: str = 'train'
    scale: int | None = None

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
            raise ValueError('dataroot_sharp is missing: K is made from S, the sharp pictures of the same camera')
        if self.resize is not None and self.resize < self.gt_size:
            raise ValueError(f'resize ({self.resize}) is smaller than the crop, gt_size ({self.gt_size})')
        if self.persistent_workers and self.num_worker_per_gpu == 0:
            raise ValueError('persistent_workers needs num_worker_per_gpu of at least 1')
        return self

    def share(self, names: list[str], first: bool) -> list[str]:
        """B's (``first``) or S's share of a sorted list: the first floor(ratio * n), or all the others."""
        if self.ratio is None:
            return names
        border = math.floor(self.ratio * len(names))
        return names[:border] if first else names[border:]
