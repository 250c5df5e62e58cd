from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from b2b_basicsr.data.orientation import Orientation
from b2b_basicsr.data.training_crops import TrainingCrops, as_floats, as_tensor
from b2b_basicsr.data.unpaired_blur_options import UnpairedBlurOptions

LEVELS = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
TURNS = [Orientation(bool(n & 1), bool(n & 2), bool(n & 4)) for n in range(8)]


def _crops(**augment: object) -> TrainingCrops:
    section = {'type': 'UnpairedBlurDataset', 'dataroot_blur': 'b', 'dataroot_known': 'k', 'gt_size': 8}
    options = {**section, 'io_backend': {'type': 'disk'}, 'batch_size_per_gpu': 1, 'augment_opt': augment}
    return TrainingCrops(UnpairedBlurOptions.from_options('datasets:train', options))


def _plainly(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return levels.astype(np.float32) / np.float32(255)


@pytest.mark.parametrize('turn', TURNS)
def test_values_are_the_plain_quotients_however_the_crop_lies(turn: Orientation) -> None:
    levels = turn.apply(LEVELS)
    expected = _plainly(levels)
    assert np.array_equal(as_floats(levels), expected)
    crop = _crops().coloured(levels, np.random.default_rng(0))
    assert crop.dtype == np.float32
    assert np.array_equal(crop, expected)
    assert torch.equal(as_tensor(crop), torch.from_numpy(expected.transpose(2, 0, 1).copy()))


def test_tensor_of_a_crop_whose_colours_stay_takes_no_further_copy() -> None:
    crop = _crops().coloured(LEVELS[:, ::-1], np.random.default_rng(0))
    assert np.shares_memory(as_tensor(crop).numpy(), crop)


@pytest.mark.parametrize('augment', [{'gamma': [0.5, 2]}, {'contrast': [0.5, 2]}, {'channel_shuffle': True}])
@pytest.mark.parametrize('turn', TURNS)
def test_colours_vary_to_the_bit_as_those_of_the_plain_quotients(augment: dict[str, object], turn: Orientation) -> None:
    levels, crops = turn.apply(LEVELS), _crops(**augment)
    expected = crops.recolour(_plainly(levels), np.random.default_rng(1))
    assert np.array_equal(crops.coloured(levels, np.random.default_rng(1)), expected)
    assert not np.array_equal(expected, _plainly(levels))
