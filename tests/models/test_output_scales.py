from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from b2b_basicsr.models.output_scales import as_scales, resized_like, summed_loss


def test_one_output_is_a_list_of_one_in_float32() -> None:
    outputs = as_scales(torch.ones(1, 3, 4, 4, dtype=torch.bfloat16))
    assert [output.dtype for output in outputs] == [torch.float32]
    assert [len(as_scales(form([torch.ones(1)] * 3))) for form in (list, tuple)] == [3, 3]


def test_targets_are_resized_from_the_full_size() -> None:
    picture = torch.rand(1, 3, 8, 8)
    small, full = resized_like(picture, [torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 8, 8)])
    assert full is picture
    assert torch.equal(small, F.interpolate(picture, (2, 2), mode='bilinear', align_corners=False))


class _ContentAndStyle(nn.Module):
    def forward(self, x: Tensor, gt: Tensor) -> tuple[Tensor | None, Tensor | None]:
        return (x - gt).abs().sum(), None


def test_loss_is_added_up_over_the_scales() -> None:
    outputs = [torch.zeros(1, 1, side, side) for side in (1, 2)]
    targets = [torch.full_like(output, 0.5) for output in outputs]
    assert float(summed_loss(nn.L1Loss(), outputs, targets)) == pytest.approx(1.0)
    assert float(summed_loss(_ContentAndStyle(), outputs, targets)) == pytest.approx(0.5 + 2.0)
    with pytest.raises(ValueError, match='shorter'):
        summed_loss(nn.L1Loss(), outputs, targets[:1])
