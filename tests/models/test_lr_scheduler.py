from __future__ import annotations

import pytest
import torch
from torch import nn

from b2b_basicsr.models import LinearDecayLR


def _optimizer() -> torch.optim.Optimizer:
    return torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=0.4)


def _rates(scheduler: LinearDecayLR, first: int, last: int) -> list[float]:
    """The rate at each iteration, stepped as BasicSR's ``update_learning_rate`` steps."""
    rates = []
    for iteration in range(first, last + 1):
        if iteration > 1:
            scheduler.optimizer.step()
            scheduler.step()
        rates.append(scheduler.optimizer.param_groups[0]['lr'])
    return rates


def test_constant_then_linear_to_zero() -> None:
    scheduler = LinearDecayLR(_optimizer(), start=2, total_iter=6)
    assert _rates(scheduler, 1, 8) == pytest.approx([0.4, 0.4, 0.4, 0.3, 0.2, 0.1, 0.0, 0.0])


def test_resumes_where_it_stood_with_a_longer_training() -> None:
    first = LinearDecayLR(_optimizer(), start=2, total_iter=6)
    _rates(first, 1, 4)
    second = LinearDecayLR(_optimizer(), start=2, total_iter=10)
    second.load_state_dict(first.state_dict())
    assert _rates(second, 5, 6) == pytest.approx([0.4 * 6 / 8, 0.4 * 5 / 8])


def test_start_must_lie_before_the_end() -> None:
    with pytest.raises(ValueError, match='less than total_iter, 6'):
        LinearDecayLR(_optimizer(), start=6, total_iter=6)
