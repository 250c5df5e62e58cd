from __future__ import annotations

import math
from pathlib import Path

from b2b_basicsr.report.basicsr_log import read_log


def test_later_parts_of_a_resumed_training_win(training_run: Path) -> None:
    log = read_log(sorted(training_run.glob('train_*.log')))
    assert log.losses['l_g_gan'] == [(100, 100.0), (200, 200.0), (300, 0.3), (1400, 1.4)]
    assert log.losses['out_d_real'][0] == (100, -1.2636)
    assert all(math.isnan(value) for _, value in log.losses['l_d_real'])
    assert log.last_iteration == 1400


def test_options_are_those_that_basicsr_took(training_run: Path) -> None:
    log = read_log(sorted(training_run.glob('train_*.log')))
    assert log.option('model_type') == 'Blur2BlurModel'
    assert log.option('datasets', 'val', 'name') == 'held_out'
    assert log.option('network_g', 'enc_blk_nums') == '[1, 1]'
    assert log.option('path', 'resume_state') is None
    assert log.option('val', 'metrics', 'lpips', 'better') == 'lower'
    assert log.option('val', 'best', 'nothing') is None
    assert log.begun == '2026-11-22 17:17'


def test_validations_of_models_that_keep_no_history(tmp_path: Path) -> None:
    path = tmp_path / 'train_run_20261122_171725.log'
    lines = '2026-11-22 17:19:27,983 INFO: Validation held_out\n\t # psnr: 25.8653\tBest: 25.8653 @ 375 iter\n'
    step = '2026-11-22 17:19:27,983 INFO: [demo_..][epoch:  0, iter:   1,375, lr:(1e-4,)] l_pix: 1.0e-2 \n'
    path.write_text(f'{step}{lines}\t # niqe: nan\n{step.split("[")[0]}Saving models.\n\t # psnr: 1.0\n')
    ((dataset, iteration, values),) = read_log([path]).validations
    assert (dataset, iteration, values['psnr']) == ('held_out', 1375, 25.8653)
    assert math.isnan(values['niqe'])
