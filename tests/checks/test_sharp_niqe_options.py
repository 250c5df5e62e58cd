"""``calculate_sharp_niqe`` in an option file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.checks.conftest import changed, parse

Options = dict[str, Any]


@pytest.fixture
def unpaired(options: Options, tmp_path: Path) -> Options:
    """A training whose validation set has no ground truth."""
    (tmp_path / 'own').mkdir()
    for place in range(3):
        Image.fromarray(np.full((64, 64, 3), place, np.uint8)).save(tmp_path / 'own' / f'{place}.png')
    val = {'name': 'own', 'type': 'SingleFolderDataset', 'dataroot_lq': 'own', 'io_backend': {'type': 'disk'}}
    metrics = {'score': {'type': 'calculate_sharp_niqe', 'sharp': 'own'}}
    return changed(options, datasets__val=val, val__metrics=metrics, val__best='score')


def test_it_chooses_the_best_of_a_set_without_ground_truth(
    unpaired: Options, write: Callable[[Options], Path], tmp_path: Path
) -> None:
    assert parse(write(unpaired), tmp_path)['val']['best'] == 'score'


@pytest.mark.parametrize(
    ('keys', 'said'),
    [
        ({'sharp': 'nowhere'}, "val:metrics:score: sharp: no folder 'nowhere' (looked in "),
        ({}, 'val:metrics:score:sharp: missing'),
        ({'sharp': 'own', 'pictures': 1}, 'val:metrics:score:pictures: 1: must be '),
        ({'sharp': 'own', 'deblurred_from': 'own'}, 'val:metrics:score:deblurred_from: unknown key'),
    ],
)
def test_mistakes(unpaired: Options, told: Callable[[Options], str], keys: Options, said: str) -> None:
    line = told(changed(unpaired, val__metrics={'score': {'type': 'calculate_sharp_niqe', **keys}}))
    assert said in line
