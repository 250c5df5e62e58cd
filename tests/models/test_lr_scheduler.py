from __future__ import annotations

import math

import pytest
import torch
from basicsr.models.lr_scheduler import CosineAnnealingRestartLR
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from b2b_basicsr.models import ConstantCosineLR, LinearDecayLR
from b2b_basicsr.models.lr_scheduler import SCHEDULERS, HeldThenFallingLR


def _optimizer() -> torch.optim.Optimizer:
    return torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=0.4)


def _rates(scheduler: LRScheduler, first: int, last: int) -> list[float]:
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


def test_constant_then_cosine_to_the_least() -> None:
    scheduler = ConstantCosineLR(_optimizer(), start=2, total_iter=6, eta_min=0.2)
    root = math.sqrt(0.5)
    expected = [0.4, 0.4, 0.4, 0.3 + 0.1 * root, 0.3, 0.3 - 0.1 * root, 0.2, 0.2]
    assert _rates(scheduler, 1, 8) == pytest.approx(expected)


def test_cosine_from_the_start_is_basicsrs() -> None:
    ours = ConstantCosineLR(_optimizer(), start=0, total_iter=7, eta_min=1e-3)
    basicsrs = CosineAnnealingRestartLR(_optimizer(), periods=[7], restart_weights=[1], eta_min=1e-3)
    assert _rates(ours, 1, 7) == pytest.approx(_rates(basicsrs, 1, 7))


@pytest.mark.parametrize('kind', SCHEDULERS.values())
def test_resumes_where_it_stood_with_a_longer_training(kind: type[HeldThenFallingLR]) -> None:
    first = kind(_optimizer(), start=2, total_iter=6)
    _rates(first, 1, 4)
    second = kind(_optimizer(), start=2, total_iter=10)
    second.load_state_dict(first.state_dict())
    assert _rates(second, 5, 6) == pytest.approx(_rates(kind(_optimizer(), start=2, total_iter=10), 1, 6)[4:])
    assert first.state_dict()['last_epoch'] == 3


def test_resumed_linear_decay_goes_by_the_longer_training() -> None:
    first = LinearDecayLR(_optimizer(), start=2, total_iter=6)
    _rates(first, 1, 4)
    second = LinearDecayLR(_optimizer(), start=2, total_iter=10)
    second.load_state_dict(first.state_dict())
    assert _rates(second, 5, 6) == pytest.approx([0.4 * 6 / 8, 0.4 * 5 / 8])


@pytest.mark.parametrize('kind', SCHEDULERS.values())
def test_start_must_lie_before_the_end(kind: type[HeldThenFallingLR]) -> None:
    with pytest.raises(ValueError, match='less than total_iter, 6'):
        kind(_optimizer(), start=6, total_iter=6)
