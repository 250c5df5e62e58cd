"""Our option files in BasicSR's own scripts, run literally, in a working copy laid out like its repository."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.checks.conftest import data, options, write  # noqa: F401  fixtures
from tests.compat.conftest import Script, checkout, run_python  # noqa: F401

Options = dict[str, Any]


@pytest.mark.slow
def test_train_resume_and_test(
    options: Options,  # noqa: F811
    write: Callable[[Options], Path],  # noqa: F811
    checkout: Path,  # noqa: F811
    run_python: Script,  # noqa: F811
    data: Path,  # noqa: F811
) -> None:
    options['datasets']['train'] |= {'num_worker_per_gpu': 1, 'io_backend': {'type': 'disk'}}
    options['logger']['use_tb_logger'] = True
    option_file = write(options)
    train = run_python('basicsr/train.py', '-opt', option_file, cwd=checkout, path=checkout)
    assert train.returncode == 0, train.stderr
    log = train.stderr + train.stdout
    assert 'Device: cpu (1 threads)' in log
    assert '# gain:' in log
    iterations = [int(found) for found in re.findall(r'iter:\s+(\d+), lr', log)]
    assert iterations == [1, 2, 3, 4, 5], 'three pictures, batches of two: an epoch has one batch'
    experiment = checkout / 'experiments' / 'tiny'
    assert sorted(path.name for path in (experiment / 'models').iterdir()) == [
        'net_d_5.pth',
        'net_d_latest.pth',
        'net_g_5.pth',
        'net_g_best.pth',
        'net_g_latest.pth',
    ]
    assert (experiment / 'visualization' / 'test' / '0' / '0_5.png').is_file()
    assert list((checkout / 'tb_logger' / 'tiny').glob('events*'))

    resumed = run_python(
        'basicsr/train.py', '-opt', option_file, '--auto_resume', '--force_yml', 'train:total_iter=8',
        cwd=checkout, path=checkout,
    )  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr
    log = resumed.stderr + resumed.stdout
    assert 'Resuming training from epoch: 4, iter: 5.' in log
    assert [int(found) for found in re.findall(r'iter:\s+(\d+), lr', log)] == [6, 7, 8]
    assert f'Loading NAFNet from {data / "deblur.pth"}' in log, 'the frozen deblurrer keeps its weights'
    assert f'Loading MIMOUNet from {experiment / "models" / "net_g_5.pth"}' in log

    options['datasets'] = {'test_1': options['datasets']['val']}
    options['path'] |= {'pretrain_network_g': 'experiments/tiny/models/net_g_latest.pth', 'param_key_g': 'params_ema'}
    options['name'] = 'tiny_test'
    for training_only in ('train', 'network_d', 'logger'):
        del options[training_only]
    tested = run_python('basicsr/test.py', '-opt', write(options), cwd=checkout, path=checkout)
    assert tested.returncode == 0, tested.stderr
    assert '# gain:' in tested.stderr + tested.stdout
    saved = checkout / 'results' / 'tiny_test' / 'visualization' / 'test' / '0_tiny_test.png'
    assert Image.open(saved).size == (48, 40)
    last = torch.load(experiment / 'models' / 'net_g_latest.pth', weights_only=True)
    assert last['network']['type'] == 'MIMOUNet'


@pytest.mark.slow
def test_mistake_leaves_the_old_experiment_alone(
    options: Options,  # noqa: F811
    write: Callable[[Options], Path],  # noqa: F811
    checkout: Path,  # noqa: F811
    run_python: Script,  # noqa: F811
) -> None:
    old = checkout / 'experiments' / 'tiny' / 'models' / 'net_g_latest.pth'
    old.parent.mkdir(parents=True)
    old.write_text('months of work')
    options['datasets']['train']['dataroot_blur'] = 'nowhere'
    before = sorted(checkout.rglob('*.*'))
    result = run_python(
        'basicsr/train.py', '-opt', write(options), cwd=checkout, path=checkout, PYTHONDONTWRITEBYTECODE='1'
    )
    assert result.returncode == 2
    assert re.match(r"error: .*tiny\.yml:\d+: datasets:train:dataroot_blur: no folder 'nowhere'", result.stderr)
    assert result.stderr.count('\n') == 1
    assert sorted(checkout.rglob('*.*')) == before


@pytest.mark.slow
def test_picture_that_breaks_while_a_worker_reads_it(
    options: Options,  # noqa: F811
    write: Callable[[Options], Path],  # noqa: F811
    checkout: Path,  # noqa: F811
    run_python: Script,  # noqa: F811
    tmp_path: Path,
) -> None:
    """More pictures than are decoded ahead, and every one that is not is broken behind its header: too many."""
    blurry = tmp_path / 'many'
    blurry.mkdir()
    for index in range(512):
        Image.effect_noise((32, 32), 50).convert('RGB').save(blurry / f'{index:03}.png')
        if index % 2:
            path = blurry / f'{index:03}.png'
            content = bytearray(path.read_bytes())
            content[200] ^= 255
            path.write_bytes(content)
    loader = {'num_worker_per_gpu': 1, 'batch_size_per_gpu': 8, 'max_replaced': 2}
    options['datasets']['train'] |= {'dataroot_blur': str(blurry), **loader}
    result = run_python('basicsr/train.py', '-opt', write(options), cwd=checkout, path=checkout)
    assert result.returncode == 2
    log = result.stderr + result.stdout
    assert re.search(r'datasets:train:dataroot_blur: .*\d+\.png cannot be read as a picture', log)
    assert re.match(r'error: .*max_replaced', result.stderr.splitlines()[-1])
    assert 'Traceback' not in result.stderr
