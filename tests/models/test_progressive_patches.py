from __future__ import annotations

from collections import Counter

import pytest
import torch

from b2b_basicsr.models.progressive_patches import PatchStage, cut_to_stage, stage_at


def _stage(iterations: int, gt_size: int, batch: int) -> PatchStage:
    return PatchStage(iterations=iterations, gt_size=gt_size, batch_size_per_gpu=batch)


@pytest.mark.parametrize(('iteration', 'gt_size'), [(1, 8), (3, 8), (4, 12), (5, 12), (6, 16), (9, 16), (10, 16)])
def test_stage_of_an_iteration(iteration: int, gt_size: int) -> None:
    stages = [_stage(3, 8, 4), _stage(2, 12, 2), _stage(4, 16, 1)]
    assert stage_at(stages, iteration).gt_size == gt_size


def test_patch_is_at_the_same_place_in_both() -> None:
    gt = torch.arange(3 * 2 * 10 * 12, dtype=torch.float32).reshape(3, 2, 10, 12)
    lq, cut = cut_to_stage([gt + 0.5, gt], _stage(1, 4, 2), torch.Generator().manual_seed(0))
    assert lq.shape == cut.shape == (2, 2, 4, 4)
    assert torch.equal(lq, cut + 0.5)
    assert torch.equal(cut[1] - cut[0], torch.full((2, 4, 4), 240.0)), 'the first two pictures'


def test_every_place_comes_up_equally_often() -> None:
    picture = torch.arange(5 * 6, dtype=torch.float32).reshape(1, 1, 5, 6)
    generator = torch.Generator().manual_seed(0)
    found = Counter(float(cut_to_stage([picture], _stage(1, 3, 1), generator)[0].min()) for _ in range(2400))
    assert set(found) == {6.0 * top + left for top in range(3) for left in range(4)}
    assert all(140 < count < 260 for count in found.values())


def test_the_largest_stage_is_the_whole_batch_and_draws_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    picture = torch.rand(2, 3, 8, 8)
    assert torch.equal(cut_to_stage([picture], _stage(1, 8, 2), generator)[0], picture)
    assert torch.equal(generator.get_state(), before)
