"""Training and validation while pictures vanish and break."""

from __future__ import annotations

import csv
import logging
import os
import re
import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from basicsr.data import build_dataloader, build_dataset
from basicsr.models import build_model
from PIL import Image

from b2b_basicsr.errors import UserError
from b2b_basicsr.records.validation_history import ValidationHistory

Options = dict[str, Any]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What is logged, by its level."""
    lines: dict[str, list[str]] = {'warning': [], 'error': []}
    for level, told in lines.items():
        monkeypatch.setattr(logging.getLogger('basicsr'), level, told.append)
    return lines


def _deblur(options: Options) -> Options:
    opt = deepcopy(options)
    del opt['network_d']
    opt |= {'model_type': 'DeblurModel', 'val': {'best': 'psnr', 'metrics': {'psnr': _PSNR}}}
    opt['network_g'] = {'type': 'NAFNet', 'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]}
    opt['train'] = {key: opt['train'][key] for key in ('optim_g', 'scheduler', 'total_iter')}
    opt['train']['pixel_opt'] = {'type': 'L1Loss'}
    return opt


_PSNR = {'type': 'calculate_psnr', 'crop_border': 0}


def _model(opt: Options) -> Any:
    torch.manual_seed(0)
    return build_model(deepcopy(opt))


# ---------------------------------------------------------------------------------------------------- training


def _fed(model: Any, *replaced: str) -> None:
    picture = torch.rand(len(replaced), 3, 16, 16)
    model.feed_data({'lq': picture, 'gt': picture, 'replaced': list(replaced)})


def test_each_picture_is_told_once_and_counted_each_time(options: Options, said: dict[str, list[str]]) -> None:
    opt = _deblur(options)
    model = _model(opt)
    _fed(model, '', '')
    model.optimize_parameters(1)
    assert 'replaced' not in model.get_current_log()
    _fed(model, '', 'a.png is gone')
    _fed(model, 'a.png is gone', 'b.png is gone\nc.png is gone')
    assert said['warning'] == [
        'a.png is gone: another picture stands in for it (1 so far)',
        'b.png is gone: another picture stands in (3 so far)',
        'c.png is gone: another picture stands in (4 so far)',
    ]
    assert model.get_current_log()['replaced'] == 4
    model.save(0, 1)
    state = torch.load(Path(opt['path']['training_states'], '1.state'), weights_only=True)
    resumed = _model(opt)
    resumed.resume_training(state)
    _fed(resumed, 'd.png is gone', '')
    assert resumed.kept_in_state()['replaced_pictures'] == 5
    del state['replaced_pictures']  # of an older training
    resumed.resume_training(state)


def test_too_many_end_the_training(options: Options) -> None:
    opt = _deblur(options)
    opt['datasets']['train']['max_replaced'] = 2
    model = _model(opt)
    _fed(model, 'a.png is gone', '')
    model.optimize_parameters(1)
    model.save(0, 1)
    _fed(model, 'a.png is gone', '')
    with pytest.raises(UserError) as told:
        _fed(model, '', 'b.png is gone')
    assert '\n' not in str(told.value)
    state = Path(opt['path']['training_states'], '1.state')
    assert re.match(
        r'datasets:train:max_replaced: .* 3 times, more than 2; the last: a\.png is gone \| b\.png is gone; put them '
        rf'back or take them out, and go on with --auto_resume from {state}, or raise max_replaced$',
        str(told.value),
    )


# ---------------------------------------------------------------------------------------------------- validation


@pytest.fixture
def section(tmp_path: Path) -> Options:
    """Four pairs."""
    generator = np.random.default_rng(0)
    for side in ('lq', 'gt'):
        (tmp_path / side).mkdir()
        for name in range(4):
            picture = Image.fromarray(generator.integers(0, 256, (24, 32, 3), dtype=np.uint8))
            picture.save(tmp_path / side / f'{name}.png')
    roots = {f'dataroot_{side}': str(tmp_path / side) for side in ('lq', 'gt')}
    return {'name': 'set', 'phase': 'val', 'scale': 1, 'io_backend': {'type': 'disk'}, **roots}


def _validate(model: Any, section: Options, iteration: int | str, logger: Any = None) -> None:
    model.validation(build_dataloader(build_dataset(section), section), iteration, logger, False)


def _break(file: Path, way: str) -> None:
    if way == 'deleted':
        file.unlink()
    elif way == 'truncated':
        file.write_bytes(file.read_bytes()[:400])
    else:
        Image.open(file).resize((16, 16)).save(file)


@pytest.mark.parametrize('kind', ['PairedFolderDataset', 'PairedImageDataset', 'SingleFolderDataset'])
@pytest.mark.parametrize('way', ['deleted', 'truncated', 'shrunk'])
def test_broken_picture_is_left_out_of_a_validation(
    options: Options, section: Options, said: dict[str, list[str]], kind: str, way: str
) -> None:
    opt = _deblur(options)
    opt['datasets']['val'] = section | {'type': kind}
    if kind == 'SingleFolderDataset':
        if way == 'shrunk':
            return  # another picture, as good as the one before
        del opt['datasets']['val']['dataroot_gt']
        opt['val'] = {'metrics': {}}
    model = _model(opt)
    dataset = build_dataset(opt['datasets']['val'])
    loader = build_dataloader(dataset, opt['datasets']['val'])
    _break(Path(section['dataroot_lq' if kind == 'SingleFolderDataset' else 'dataroot_gt'], '1.png'), way)
    model.validation(loader, 1, None, False)
    table = Path(opt['path']['visualization'], 'set', 'set_1.csv').read_text().splitlines()
    assert sorted(row['picture'] for row in csv.DictReader(table)) == ['0', '2', '3']
    told, means = said['warning']
    assert told.startswith('set: ')
    assert told.endswith(': left out of the means')
    assert '1.png' in told
    assert means.startswith('set: 3 of 4 pictures could be read and scored')
    assert not any(metric for metrics in model.best_metric_results.values() for metric in metrics)
    assert not Path(opt['path']['models'], 'net_g_best.pth').exists()
    history = ValidationHistory(Path(opt['path']['training_states'], 'validations.jsonl'))
    assert [values for _, _, values in history.until(9)] == [{}], 'done, and of no value'
    model.validation(loader, 2, None, False)
    assert len(said['warning']) == 3  # the picture itself was told of before
    assert model.net_g.training


def test_validation_chooses_again_when_the_picture_is_back(options: Options, section: Options, tmp_path: Path) -> None:
    opt = _deblur(options)
    opt['datasets']['val'] = section | {'type': 'PairedFolderDataset'}
    model = _model(opt)
    file = tmp_path / 'lq' / '2.png'
    loader = build_dataloader(build_dataset(opt['datasets']['val']), opt['datasets']['val'])
    kept = file.rename(tmp_path / 'kept.png')
    model.validation(loader, 1, None, False)
    without = dict(model.metric_results)
    kept.rename(file)
    model.validation(loader, 2, None, False)
    assert model.best_metric_results['set']['psnr']['iter'] == 2
    assert model.metric_results['psnr'] != without['psnr']
    for picture in (tmp_path / 'lq').iterdir():
        picture.unlink()
    model.validation(loader, 3, None, False)
    assert model.metric_results == {}
    assert model.best_metric_results['set']['psnr']['iter'] == 2


def test_kernel_network_is_validated_without_a_picture(
    options: Options, section: Options, said: dict[str, list[str]]
) -> None:
    opt = _deblur(options)
    wizard = {'nf': 4, 'front_RBs': 1, 'back_RBs': 1, 'kernel_dim': 4, 'n_blocks': 1}
    opt |= {'model_type': 'KernelWizardModel', 'network_g': {'type': 'KernelWizard', **wizard}}
    opt['datasets']['val'] = section | {'type': 'PairedFolderDataset'}
    opt['val']['crop'] = 16
    model = _model(opt)
    loader = build_dataloader(build_dataset(opt['datasets']['val']), opt['datasets']['val'])
    _break(Path(section['dataroot_gt'], '1.png'), 'deleted')
    model.validation(loader, 1, None, False)
    assert said['warning'][1].startswith('set: 3 of 4 pictures')
    # Of four rows one is of the picture itself, and one would have shown it beside another.
    assert Image.open(Path(opt['path']['visualization'], 'set', 'set_1.png')).height < 3 * 16 + 3 * 16


def test_test_with_a_broken_picture_does_all_sets_and_ends_with_1(
    options: Options, section: Options, said: dict[str, list[str]], tmp_path: Path
) -> None:
    opt = _deblur(options) | {'is_train': False}
    first, second = (section | {'type': 'PairedFolderDataset', 'name': name} for name in ('one', 'two'))
    opt['datasets'] = {'test_1': first, 'test_2': second}
    opt['path']['results_root'] = str(tmp_path / 'results')
    model = _model(opt)
    loaders = [build_dataloader(build_dataset(one), one) for one in (first, second)]
    _break(Path(section['dataroot_lq'], '3.png'), 'truncated')
    model.validation(loaders[0], 'test', None, False)
    with pytest.raises(SystemExit) as end:
        model.validation(loaders[1], 'test', None, False)
    assert end.value.code == 1
    assert said['error'] == ['2 pictures could not be read, as said above.']
    for name in ('one', 'two'):
        assert len((tmp_path / 'results' / f'{name}.csv').read_text().splitlines()) == 4


# ---------------------------------------------------------------------------------------------------- end to end


def _pictures(folder: Path, count: int, seed: int) -> str:
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    for name in range(count):
        Image.fromarray(generator.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(folder / f'{name}.png')
    return str(folder)


@pytest.fixture
def running(tmp_path: Path) -> tuple[Path, Options]:
    """A training of Blur2Blur's, which lasts until it is ended."""
    adam = {'type': 'Adam', 'lr': 2e-4, 'betas': [0.5, 0.999]}
    opt = {
        'name': 'run',
        'model_type': 'Blur2BlurModel',
        'scale': 1,
        'num_gpu': 0,
        'manual_seed': 3,
        'datasets': {
            'train': {
                'type': 'UnpairedBlurDataset',
                'name': 'train',
                'dataroot_blur': _pictures(tmp_path / 'blur', 8, 1),
                'dataroot_sharp': _pictures(tmp_path / 'sharp', 8, 2),
                'synth_known_opt': {'length': [5, 9]},
                'io_backend': {'type': 'disk'},
                'gt_size': 32,
                'batch_size_per_gpu': 2,
                'num_worker_per_gpu': 2,
                'max_replaced': 40,
            },
            'val': {
                'type': 'PairedFolderDataset',
                'name': 'set',
                'dataroot_lq': _pictures(tmp_path / 'lq', 3, 3),
                'dataroot_gt': _pictures(tmp_path / 'gt', 3, 4),
                'io_backend': {'type': 'disk'},
            },
        },
        'network_g': {'type': 'MIMOUNet', 'num_res': 1, 'base_channel': 8},
        'network_d': {'type': 'PatchGANDiscriminator', 'num_feat': 8, 'n_layers': 1},
        'path': {},
        'train': {
            'optim_g': dict(adam),
            'optim_d': dict(adam),
            'scheduler': {'type': 'LinearDecayLR', 'start': 2},
            'total_iter': 100000,
            'pixel_opt': {'type': 'BlockMeanLoss'},
            'gan_opt': {'type': 'GANLoss', 'gan_type': 'hinge', 'loss_weight': 0.5},
        },
        'val': {'val_freq': 20, 'save_img': False, 'best': 'psnr', 'metrics': {'psnr': _PSNR}},
        'logger': {'print_freq': 5, 'save_checkpoint_freq': 10, 'use_tb_logger': False},
    }
    (tmp_path / 'run.yml').write_text(yaml.safe_dump(opt))
    return tmp_path, opt


@pytest.mark.slow
def test_training_outlives_files_and_ends_when_too_many_are_gone(running: tuple[Path, Options]) -> None:
    root, _ = running
    command = [sys.executable, '-m', 'b2b_basicsr', 'train', '-opt', 'run.yml']
    log = root / 'said'
    with log.open('w') as out:
        training = subprocess.Popen(
            command, cwd=root, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, 'OMP_NUM_THREADS': '1'}
        )
    try:
        _wait_for(log, training, 'iter:      10')
        (root / 'blur' / '3.png').unlink()
        (root / 'sharp' / '5.png').write_bytes((root / 'sharp' / '5.png').read_bytes()[:300])
        (root / 'gt' / '1.png').unlink()
        assert training.wait(120) == 2
    finally:
        training.kill()
    text = log.read_text()
    assert 'Traceback' not in text
    assert text.count('stands in for it (1 so far)') == 1
    assert text.count(f'{root}/blur/3.png cannot be read as a picture') >= 1
    assert text.count(f'{root}/sharp/5.png cannot be read as a picture') >= 1
    assert len(re.findall(r'WARNING: datasets:train:.*stands in', text)) == 2
    assert 'set: 2 of 3 pictures could be read and scored' in text
    last = text.strip().splitlines()[-1]
    assert re.match(
        r'error: datasets:train:max_replaced: .* 4\d times, more than 40; .*--auto_resume from .*\.state', last
    )


def _wait_for(log: Path, training: subprocess.Popen[bytes], text: str) -> None:
    for _ in range(600):
        if text in log.read_text():
            return
        assert training.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())
