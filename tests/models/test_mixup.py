from __future__ import annotations

import numpy as np
import pytest
import torch

from b2b_basicsr.models.mixup import MixupOptions, mixed


def _weights(options: MixupOptions, count: int) -> list[float]:
    """The weight of each batch's own first picture, where it was mixed with the other one."""
    generator = torch.Generator().manual_seed(0)
    pair = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1)
    return [1 - float(mixed([pair], options, generator)[0][0]) for _ in range(count)]


def test_both_sides_are_mixed_alike() -> None:
    generator = torch.Generator().manual_seed(3)
    gt = torch.rand(4, 3, 2, 2)
    lq, sharp = mixed([2 * gt, gt], MixupOptions(beta=1.2), generator)
    assert torch.allclose(lq, 2 * sharp)
    assert not torch.equal(sharp, gt)
    assert sharp.mean() == pytest.approx(float(gt.mean())), 'weights that add up to 1, of every picture once'


def test_weight_has_the_asked_distribution() -> None:
    found = [weight for weight in _weights(MixupOptions(beta=1.2), 3000) if weight < 1]
    assert 1300 < len(found) < 1700, 'of two pictures the other one is drawn half of the time'
    assert np.mean(found) == pytest.approx(0.5, abs=0.03)
    assert np.var(found) == pytest.approx(1 / (4 * (2 * 1.2 + 1)), abs=0.006)


def test_identity_leaves_every_other_batch() -> None:
    kept = sum(weight == 1 for weight in _weights(MixupOptions(beta=1.2, use_identity=True), 2000))
    assert 1400 < kept < 1600


def test_random_numbers_are_the_generators_alone() -> None:
    picture = torch.rand(4, 3, 2, 2)
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        results.append(mixed([picture], MixupOptions(), torch.Generator().manual_seed(5))[0])
    assert torch.equal(*results)
