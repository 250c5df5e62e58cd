"""Patches that grow, in batches that shrink, as a training goes on. Zamir et al., CVPR 2022 (Restormer), section 4."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from b2b_basicsr.options.section import CropSide, Iterations, OptionSection, PositiveCount


class PatchStage(OptionSection):
    """One entry of ``train: progressive_patches``: so many iterations on patches and batches of this size."""

    iterations: Iterations
    """How long the stage lasts."""
    gt_size: CropSide
    """Side of its patches in pixels."""
    batch_size_per_gpu: PositiveCount
    """Its batch."""


def stage_at(stages: Sequence[PatchStage], iteration: int) -> PatchStage:
    """The stage that an iteration, counted from 1, falls into; the last one, for those beyond all.

    Example:
        >>> stages = [PatchStage(iterations=2, gt_size=8 * n, batch_size_per_gpu=4 // n) for n in (1, 2)]
        >>> [stage_at(stages, iteration).gt_size for iteration in range(1, 6)]
        [8, 8, 16, 16, 16]
    """
    ends = accumulate(stage.iterations for stage in stages)
    return next((stage for stage, end in zip(stages, ends, strict=True) if iteration <= end), stages[-1])


def cut_to_stage(pictures: Sequence[Tensor], stage: PatchStage, generator: torch.Generator) -> list[Tensor]:
    """A stage's batch, out of the larger one that BasicSR's loader gives: its first pictures, one random patch of each.

    The loader has one crop and one batch size for the whole training, so they must be the largest of all stages. Its
    order is random, so its first pictures are as good as any. The patch lies at the same place in every picture, and
    every picture's crop at a place of its own. So a patch's place within the photograph is the sum of two uniform
    numbers rather than one: patches at the photograph's borders are rarer than if they were cut from it directly.

    Args:
        pictures: the blurry and the sharp batch, [n, c, h, w] of one size each.
        stage: its ``gt_size`` is at most h and w, its ``batch_size_per_gpu`` at most n.
        generator: on the CPU; two numbers are drawn from it where the patch is smaller than the crop.

    Returns:
        Views [stage.batch_size_per_gpu, c, stage.gt_size, stage.gt_size].

    Example:
        >>> stage = PatchStage(iterations=1, gt_size=3, batch_size_per_gpu=2)
        >>> cut_to_stage([torch.zeros(4, 3, 8, 8)], stage, torch.Generator())[0].shape
        torch.Size([2, 3, 3, 3])
    """
    height, width = pictures[0].shape[-2:]
    side = stage.gt_size
    top, left = (
        int(torch.randint(length - side + 1, (), generator=generator)) if length > side else 0
        for length in (height, width)
    )
    return [picture[: stage.batch_size_per_gpu, :, top : top + side, left : left + side] for picture in pictures]
