from __future__ import annotations

import pytest
import torch
from torch import nn

from b2b_basicsr.archs import PatchGANDiscriminator
from b2b_basicsr.losses import gradient_penalty
from tests.golden_recipe import fill_weights, golden_input, load_golden


@pytest.fixture(scope='module')
def net_d() -> nn.Module:
    return fill_weights(PatchGANDiscriminator())


def test_golden(net_d: nn.Module) -> None:
    manifest, arrays = load_golden('gradient_penalty')
    real, fake = (golden_input(i['shape'], i['seed']) for i in manifest['inputs'].values())
    penalty = gradient_penalty(net_d, real, fake, torch.full((1, 1, 1, 1), manifest['alpha']))
    assert 1e-4 * penalty.item() == pytest.approx(float(arrays['weight_1e_4'][0]), rel=2e-5)
    assert 10 * penalty.item() == pytest.approx(float(arrays['weight_10'][0]), rel=2e-5)


def test_batch_is_the_mean_of_its_samples(net_d: nn.Module) -> None:
    real, fake, alpha = torch.rand(3, 3, 32, 32), torch.rand(3, 3, 32, 32), torch.rand(3, 1, 1, 1)
    whole = gradient_penalty(net_d, real, fake, alpha)
    singles = [gradient_penalty(net_d, real[i : i + 1], fake[i : i + 1], alpha[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(whole, torch.stack(singles).mean(), rtol=1e-5, atol=0)


def test_linear_discriminator_has_the_penalty_of_its_weight() -> None:
    """D(x) = w * sum(x): the gradient is w everywhere, its norm w * sqrt(c * h * w)."""
    net_d = nn.Conv2d(3, 1, 1, bias=False)
    nn.init.constant_(net_d.weight, 0.25)
    penalty = gradient_penalty(net_d, torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4), torch.rand(2, 1, 1, 1))
    assert penalty.item() == pytest.approx((0.25 * 48**0.5 - 1) ** 2, rel=1e-5)


def test_gradient_reaches_d_and_not_g() -> None:
    net_d = PatchGANDiscriminator(num_feat=8)
    fake = torch.rand(1, 3, 32, 32, requires_grad=True)
    gradient_penalty(net_d, torch.rand(1, 3, 32, 32), fake, torch.rand(1, 1, 1, 1)).backward()
    assert fake.grad is None
    first = next(net_d.parameters())
    assert first.grad is not None
    assert first.grad.abs().sum() > 0
