from __future__ import annotations

import numpy as np
import pytest

from b2b_basicsr.models.scores import Scores
from b2b_basicsr.records.score_names import BLURRY, DIRECT, Comparison

BOTH = Comparison((BLURRY, DIRECT), gain_over=DIRECT)
METRICS = {
    'ssim': {'type': 'calculate_ssim', 'crop_border': 0},
    'psnr': {'type': 'calculate_psnr', 'crop_border': 0},
    'psnr_y': {'type': 'calculate_psnr', 'crop_border': 0, 'test_y_channel': True},
}


def test_names_and_gains() -> None:
    scores = Scores(METRICS, BOTH)
    with_baselines = {name + ending for name in METRICS for ending in ('', '_blurry', '_direct')}
    assert scores.names() == with_baselines | {'gain', 'gain_psnr_y'}
    restored, direct = {'psnr': 30.0, 'psnr_y': 31.0, 'ssim': 0.9}, {'psnr': 28.0, 'psnr_y': 30.5, 'ssim': 0.8}
    blurry = {'psnr': 31.0, 'psnr_y': 33.0, 'ssim': 0.95}
    values = scores.beside(restored, {DIRECT: direct, BLURRY: blurry})
    assert values['gain'] == pytest.approx(2.0)
    assert values['gain_psnr_y'] == pytest.approx(0.5)
    assert (values['psnr_blurry'], values['psnr_direct'], values['psnr']) == (31.0, 28.0, 30.0)
    assert set(values) == scores.names()
    assert scores.beside(restored, {}) == restored


def test_without_a_gain_the_baseline_stands_alone() -> None:
    scores = Scores(METRICS, Comparison((BLURRY,)))
    assert scores.names() == {*METRICS, 'ssim_blurry', 'psnr_blurry', 'psnr_y_blurry'}
    assert scores.beside({'psnr': 30.0}, {BLURRY: {'psnr': 31.0}}) == {'psnr': 30.0, 'psnr_blurry': 31.0}


def test_what_is_a_baseline() -> None:
    scores = Scores({**METRICS, 'very_blurry': {'type': 'calculate_niqe', 'crop_border': 0}}, BOTH)
    found = {name for name in (*scores.names(), 'other_blurry') if scores.is_baseline(name)}
    stems = (*METRICS, 'very_blurry')
    assert found == {stem + ending for stem in stems for ending in ('_blurry', '_direct')}
    assert [scores.needs_gt(name) for name in ('psnr_blurry', 'gain', 'very_blurry_direct')] == [True, True, False]


def test_metrics_that_need_ground_truth_wait_for_it() -> None:
    scores = Scores(
        {'psnr': {'type': 'calculate_psnr', 'crop_border': 0}, 'niqe': {'type': 'calculate_niqe', 'crop_border': 0}},
        BOTH,
    )
    picture = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    assert set(scores.of(picture, None)) == {'niqe'}
    assert set(scores.of(picture, picture // 2)) == {'psnr', 'niqe'}


def test_better() -> None:
    scores = Scores({'niqe': {'type': 'calculate_niqe', 'crop_border': 0, 'better': 'lower'}}, BOTH)
    assert scores.better('niqe') == scores.better('niqe_direct') == scores.better('niqe_blurry') == 'lower'
    assert scores.better('gain') == 'higher'
