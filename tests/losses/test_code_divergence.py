from __future__ import annotations

import torch
from torch.distributions import Normal, kl_divergence

from b2b_basicsr.losses.code_divergence import code_divergence


def test_is_twice_the_divergence_from_the_standard_normal() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, sigma = torch.randn(2, 3, 4, 4, generator=generator), torch.rand(2, 3, 4, 4, generator=generator) + 0.1
    expected = 2 * kl_divergence(Normal(mean, sigma), Normal(0.0, 1.0)).sum()
    torch.testing.assert_close(code_divergence(mean, sigma), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(code_divergence(mean, -sigma), expected, rtol=1e-4, atol=1e-4)


def test_a_code_without_spread_has_finite_gradients() -> None:
    sigma = torch.zeros(4, requires_grad=True)
    value = code_divergence(torch.zeros(4), sigma)
    value.backward()
    assert value.isfinite()
    assert sigma.grad is not None
    assert sigma.grad.isfinite().all()
