"""A deblurrer trained, resumed and tested by BasicSR's own pipelines, as a user starts them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.checks.conftest import Options, data, options, write  # noqa: F401  fixtures
from tests.checks.test_deblur_check import deblur_options  # noqa: F401
from tests.compat.conftest import Script, run_python  # noqa: F401

TABLE = 'picture,psnr,psnr_blurry,gain,lq,direct,translated,restored,gt'


@pytest.mark.slow
def test_train_resume_and_test(
    deblur_options: Options,  # noqa: F811
    write: Callable[[Options], Path],  # noqa: F811
    run_python: Script,  # noqa: F811
    tmp_path: Path,
) -> None:
    def b2b(*arguments: object) -> str:
        done = run_python('-m', 'b2b_basicsr', *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    deblur_options['logger']['save_checkpoint_freq'] = 3
    deblur_options['val']['val_freq'] = 3
    deblur_options['train']['ema_decay'] = 0.9
    log = b2b('train', '-opt', write(deblur_options))
    assert 'From iteration 1 on: patches of 16 pixels, batches of 2.' in log
    assert 'From iteration 4 on: patches of 32 pixels, batches of 1.' in log
    assert [int(found) for found in re.findall(r'iter:\s+(\d+), lr', log)] == [1, 2, 3, 4]
    assert all(re.search(rf'# {name}: -?[\d.]+', log) for name in ('psnr', 'psnr_blurry', 'gain'))
    experiment = tmp_path / 'experiments' / 'tiny'
    assert {'net_g_3.pth', 'net_g_best.pth', 'net_g_latest.pth'} <= {p.name for p in (experiment / 'models').iterdir()}
    assert (experiment / 'visualization' / 'test' / 'test_3.csv').read_text().splitlines()[0] == TABLE

    (experiment / 'models' / 'net_g_latest.pth').unlink()
    log = b2b('train', '-opt', write(deblur_options), '--auto_resume')
    assert re.search(r'Resuming training from epoch: \d+, iter: 3\.', log)
    assert [int(found) for found in re.findall(r'iter:\s+(\d+), lr', log)] == [4]

    latest = torch.load(experiment / 'models' / 'net_g_latest.pth', weights_only=True)
    assert latest['network'] == deblur_options['network_g']
    deblur_options['datasets'] = {'test_1': deblur_options['datasets']['val']}
    deblur_options['path'] = {'pretrain_network_g': str(experiment / 'models' / 'net_g_latest.pth')}
    deblur_options['name'] = 'tiny_test'
    for training_only in ('train', 'logger'):
        del deblur_options[training_only]
    log = b2b('test', '-opt', write(deblur_options))
    assert '# gain:' in log
    results = tmp_path / 'results' / 'tiny_test'
    assert (results / 'test.csv').read_text().splitlines()[0] == TABLE
    assert Image.open(results / 'visualization' / 'test' / '0_tiny_test.png').size == (48, 40)
