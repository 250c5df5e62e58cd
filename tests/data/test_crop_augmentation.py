from __future__ import annotations

import numpy as np
import pytest

from b2b_basicsr.data import CropAugmentation
from b2b_basicsr.errors import UserError


def _crop() -> np.ndarray:
    return np.random.default_rng(0).random((16, 16, 3), dtype=np.float32)


def test_off_by_default() -> None:
    augmentation = CropAugmentation()
    generator = np.random.default_rng(1)
    assert augmentation.draw_scale(generator) == 1
    assert np.array_equal(augmentation.recolour(_crop(), generator), _crop())


def test_values_stay_in_range_and_vary() -> None:
    augmentation = CropAugmentation(gamma=(0.5, 2), contrast=(0.5, 2), channel_shuffle=True)
    results = [augmentation.recolour(_crop(), np.random.default_rng(seed)) for seed in range(10)]
    assert all(r.dtype == np.float32 and r.min() >= 0 and r.max() <= 1 for r in results)
    assert len({r.tobytes() for r in results}) == 10


def test_channel_shuffle_reaches_every_order() -> None:
    crop = np.zeros((1, 1, 3), np.float32) + np.array([0.1, 0.5, 0.9], np.float32)
    augmentation = CropAugmentation(channel_shuffle=True)
    orders = {tuple(augmentation.recolour(crop, np.random.default_rng(seed)).ravel()) for seed in range(100)}
    assert len(orders) == 6


def test_scale_is_even_in_its_logarithm() -> None:
    generator = np.random.default_rng(0)
    scales = np.array([CropAugmentation(scale=(0.5, 2)).draw_scale(generator) for _ in range(4000)])
    assert scales.min() >= 0.5
    assert scales.max() <= 2
    assert (scales < 1).mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize('options', [{'gamma': [0, 1]}, {'scale': [2, 1]}, {'channel_shuffle': 'yes'}, {'hue': [0, 1]}])
def test_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(UserError, match='augment_opt'):
        CropAugmentation.from_options('datasets:train:augment_opt', options)
