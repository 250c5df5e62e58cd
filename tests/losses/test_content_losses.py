from __future__ import annotations

import pytest
import torch
from basicsr.losses import build_loss

from b2b_basicsr.losses import BlockMeanLoss, RandomFeatureLoss


def test_registered_for_option_files() -> None:
    assert isinstance(build_loss({'type': 'RandomFeatureLoss', 'loss_weight': 0.5}), RandomFeatureLoss)
    assert isinstance(build_loss({'type': 'BlockMeanLoss', 'block': 4}), BlockMeanLoss)


def test_random_features_hang_on_the_seed_alone() -> None:
    pred, target = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    torch.manual_seed(1)
    first = RandomFeatureLoss(seed=3)(pred, target)
    torch.manual_seed(2)
    torch.testing.assert_close(RandomFeatureLoss(seed=3)(pred, target), first)
    assert RandomFeatureLoss(seed=4)(pred, target) != first
    torch.testing.assert_close(RandomFeatureLoss(loss_weight=2.0, seed=3)(pred, target), 2 * first)


def test_random_features_are_fixed_and_let_gradients_through_to_the_prediction() -> None:
    loss = RandomFeatureLoss()
    assert not any(parameter.requires_grad for parameter in loss.parameters())
    pred = torch.rand(1, 3, 16, 16, requires_grad=True)
    target = torch.rand(1, 3, 16, 16, requires_grad=True)
    loss(pred, target).backward()
    assert pred.grad is not None
    assert target.grad is None


def test_random_features_see_structure() -> None:
    """A shifted picture is farther than a slightly noisy one."""
    loss = RandomFeatureLoss()
    picture = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 8, generator=torch.manual_seed(0)), 64)
    assert loss(picture.roll(8, -1), picture) > 5 * loss(picture + 0.01 * torch.randn_like(picture), picture)


def test_random_features_want_channels_and_convolutions() -> None:
    with pytest.raises(ValueError, match=r'num_conv \[2, 0\]'):
        RandomFeatureLoss(num_conv=(2, 0))


def test_random_features_have_the_shape_of_vgg16() -> None:
    features = RandomFeatureLoss(num_feat=64).features(torch.rand(1, 3, 16, 20))
    assert [tuple(f.shape) for f in features] == [(1, 64, 16, 20), (1, 128, 8, 10), (1, 256, 4, 5)]


def test_block_means_hold_colour_and_leave_detail_free() -> None:
    loss = BlockMeanLoss(block=8)
    picture = torch.rand(1, 3, 32, 32)
    assert loss(picture * 0.9, picture) > 0.01
    shuffled = picture.unfold(2, 8, 8).unfold(3, 8, 8)
    shuffled = shuffled.flip(-1).permute(0, 1, 2, 4, 3, 5).reshape(1, 3, 32, 32)
    assert not torch.equal(shuffled, picture)
    torch.testing.assert_close(loss(shuffled, picture), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_block_larger_than_a_small_output() -> None:
    assert BlockMeanLoss(block=8)(torch.ones(1, 3, 4, 6), torch.zeros(1, 3, 4, 6)) == 1
    with pytest.raises(ValueError, match='block is 0'):
        BlockMeanLoss(block=0)
