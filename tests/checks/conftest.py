"""An option file of ours over small pictures, and BasicSR's parser to read it with."""

from __future__ import annotations

import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import basicsr.utils.options
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from b2b_basicsr.archs import NAFNet

Options = dict[str, Any]
DEBLUR: Options = {'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]}


@pytest.fixture(scope='session')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders B, S, test_lq and test_gt of three pictures each, and the weights of a deblurrer."""
    root = tmp_path_factory.mktemp('data')
    generator = np.random.default_rng(0)
    for folder in ('B', 'S', 'test_lq', 'test_gt'):
        (root / folder).mkdir()
        for index in range(3):
            levels = generator.integers(0, 256, (40, 48, 3), dtype=np.uint8)
            Image.fromarray(levels).save(root / folder / f'{index}.png')
    torch.save({'params': NAFNet(**DEBLUR).state_dict()}, root / 'deblur.pth')
    return root


@pytest.fixture
def options(data: Path) -> Options:
    """The whole option file, as YAML gives it."""
    adam = {'type': 'Adam', 'lr': 2e-4, 'weight_decay': 0, 'betas': [0.5, 0.999]}
    val = {'type': 'PairedImageDataset', 'dataroot_lq': str(data / 'test_lq'), 'dataroot_gt': str(data / 'test_gt')}
    return {
        'name': 'tiny',
        'model_type': 'Blur2BlurModel',
        'scale': 1,
        'num_gpu': 0,
        'manual_seed': 0,
        'datasets': {
            'train': {
                'name': 'train',
                'type': 'UnpairedBlurDataset',
                'dataroot_blur': str(data / 'B'),
                'dataroot_sharp': str(data / 'S'),
                'synth_known_opt': {'length': [3, 9]},
                'io_backend': {'type': 'disk'},
                'gt_size': 32,
                'num_worker_per_gpu': 0,
                'batch_size_per_gpu': 2,
            },
            'val': {'name': 'test', **val, 'io_backend': {'type': 'disk'}},
        },
        'network_g': {'type': 'MIMOUNet', 'num_res': 1, 'base_channel': 8},
        'network_d': {'type': 'PatchGANDiscriminator', 'num_feat': 8, 'n_layers': 1, 'norm': 'none'},
        'network_deblur': {'type': 'NAFNet', **DEBLUR},
        'path': {'pretrain_network_g': None, 'pretrain_network_deblur': str(data / 'deblur.pth'), 'resume_state': None},
        'train': {
            'ema_decay': 0.9,
            'optim_g': adam,
            'optim_d': deepcopy(adam),
            'scheduler': {'type': 'LinearDecayLR', 'start': 2},
            'total_iter': 5,
            'perceptual_opt': {'type': 'RandomFeatureLoss', 'num_feat': 4},
            'pixel_opt': {'type': 'BlockMeanLoss'},
            'gan_opt': {'type': 'GANLoss', 'gan_type': 'hinge', 'loss_weight': 0.1},
            'gp_opt': {'weight': 1e-4},
        },
        'val': {
            'val_freq': 5,
            'save_img': True,
            'best': 'psnr',
            'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 0}},
        },
        'logger': {'print_freq': 1, 'save_checkpoint_freq': 5, 'use_tb_logger': False},
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Options], Path]:
    """Writes options to a file in an otherwise empty working folder."""

    def write_file(options: Options) -> Path:
        path = tmp_path / 'tiny.yml'
        path.write_text(yaml.safe_dump(options, sort_keys=False))
        return path

    return write_file


@pytest.fixture(autouse=True)
def _own_argv_and_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, 'argv', sys.argv)
    monkeypatch.setattr(sys, 'excepthook', sys.excepthook)
    monkeypatch.chdir(tmp_path)


def parse(path: Path, root: Path, *, is_train: bool = True) -> Options:
    """What BasicSR makes of an option file, our checks included."""
    sys.argv = ['train.py', '-opt', str(path)]
    opt: Options = basicsr.utils.options.parse_options(str(root), is_train=is_train)[0]
    return opt


def changed(options: Options, **changes: Any) -> Options:
    """Sets ``a__b__c=value``; ``...`` takes the key away."""
    options = deepcopy(options)
    for key, value in changes.items():
        *sections, last = key.split('__')
        section = options
        for name in sections:
            section = section[name]
        if value is ...:
            section.pop(last, None)
        else:
            section[last] = value
    return options


@pytest.fixture
def told(
    write: Callable[[Options], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[Options], str]:
    """The one line that options end in, with exit status 2 and nothing created."""

    def line_of(options: Options) -> str:
        path = write(options)
        before = sorted(tmp_path.rglob('*'))
        with pytest.raises(SystemExit) as end:
            parse(path, tmp_path)
        assert end.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert sorted(tmp_path.rglob('*')) == before
        return line

    return line_of
