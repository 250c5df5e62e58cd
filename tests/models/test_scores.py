from __future__ import annotations

import numpy as np
import pytest

from b2b_basicsr.models.scores import Scores


def test_names_and_gains() -> None:
    scores = Scores(
        {
            'ssim': {'type': 'calculate_ssim', 'crop_border': 0},
            'psnr': {'type': 'calculate_psnr', 'crop_border': 0},
            'psnr_y': {'type': 'calculate_psnr', 'crop_border': 0, 'test_y_channel': True},
        }
    )
    assert scores.names(with_baseline=False) == {'ssim', 'psnr', 'psnr_y'}
    assert scores.names(with_baseline=True) - scores.names(with_baseline=False) == {
        'ssim_direct',
        'psnr_direct',
        'psnr_y_direct',
        'gain',
        'gain_psnr_y',
    }
    restored, direct = {'psnr': 30.0, 'psnr_y': 31.0, 'ssim': 0.9}, {'psnr': 28.0, 'psnr_y': 30.5, 'ssim': 0.8}
    values = scores.beside(restored, direct)
    assert values['gain'] == pytest.approx(2.0)
    assert values['gain_psnr_y'] == pytest.approx(0.5)
    assert scores.beside(restored, None) == restored


def test_metrics_that_need_ground_truth_wait_for_it() -> None:
    scores = Scores(
        {'psnr': {'type': 'calculate_psnr', 'crop_border': 0}, 'niqe': {'type': 'calculate_niqe', 'crop_border': 0}}
    )
    picture = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    assert set(scores.of(picture, None)) == {'niqe'}
    assert set(scores.of(picture, picture // 2)) == {'psnr', 'niqe'}


def test_better() -> None:
    scores = Scores({'niqe': {'type': 'calculate_niqe', 'crop_border': 0, 'better': 'lower'}})
    assert scores.better('niqe') == scores.better('niqe_direct') == 'lower'
    assert scores.better('gain') == 'higher'
