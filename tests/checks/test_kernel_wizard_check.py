"""Mistakes in an option file of KernelWizardModel."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import basicsr.utils.options
import pytest

from tests.checks.conftest import Options, changed, parse


@pytest.fixture
def kernel_options(options: Options, data: Path) -> Options:
    """The whole option file, as YAML gives it."""
    pairs: Options = {
        'type': 'PairedFolderDataset',
        'dataroot_lq': str(data / 'test_lq'),
        'dataroot_gt': str(data / 'test_gt'),
    }
    pairs['io_backend'] = {'type': 'disk'}
    loader = {'gt_size': 32, 'use_hflip': True, 'use_rot': False, 'num_worker_per_gpu': 0, 'batch_size_per_gpu': 1}
    return {
        **{key: options[key] for key in ('name', 'scale', 'num_gpu', 'manual_seed', 'val', 'logger')},
        'model_type': 'KernelWizardModel',
        'datasets': {'train': {'name': 'train', **pairs, **loader}, 'val': {'name': 'test', **pairs}},
        'network_g': {'type': 'KernelWizard', 'nf': 4, 'front_RBs': 1, 'back_RBs': 1, 'kernel_dim': 8, 'n_blocks': 0},
        'path': {'pretrain_network_g': None, 'resume_state': None},
        'train': {
            'optim_g': {'type': 'Adam', 'lr': 1e-4, 'betas': [0.9, 0.99]},
            'scheduler': {'type': 'CosineAnnealingRestartLR', 'periods': [4], 'restart_weights': [1], 'eta_min': 1e-8},
            'total_iter': 4,
            'pixel_opt': {'type': 'CharbonnierLoss', 'reduction': 'sum', 'eps': 1e-6},
        },
    }


def test_a_whole_file_passes(kernel_options: Options, write: Callable[..., Path], tmp_path: Path) -> None:
    assert parse(write(kernel_options), tmp_path)['train']['total_iter'] == 4


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'network_g__type': 'MIMOUNet'}, 'network_g:'),
        ({'network_g': {'type': 'MIMOUNet'}}, 'network_g:type: MIMOUNet has no kernel code; use type: KernelWizard'),
        ({'network_g': ...}, r'tiny\.yml: network_g: missing'),
        ({'network_g__nff': 4}, r'network_g:nff: unknown key; did you mean nf\?'),
        ({'network_g__use_vae': True}, 'train:kl_opt: missing; with use_vae the code needs it'),
        ({'train__kl_opt': {'weight': 1.0}}, 'train:kl_opt: without network_g:use_vae the code is no distribution'),
        ({'train__optim_g__lr': '5e-4'}, "train:optim_g:lr: '5e-4': .*YAML reads 5e-4 as text: write 0.0005"),
        ({'train__optim_d': {'type': 'Adam', 'lr': 1e-4}}, 'train:optim_d: unknown key; did you mean optim_g'),
        ({'train__pixel_opt': ...}, 'train:pixel_opt: missing'),
        ({'train__pixel_opt__type': 'GANLoss'}, 'train:pixel_opt'),
        ({'train__scheduler__type': 'Cosine'}, "train:scheduler:type: 'Cosine' is unknown"),
        ({'path__pretrain_network_k': 'x'}, 'path:pretrain_network_k: unknown key; did you mean pretrain_network_g'),
        ({'val__best': 'psnr_direct'}, 'val:best: .*there are gain, psnr, psnr_no_blur'),
        ({'datasets__train__dataroot_gt': ...}, 'datasets:train:dataroot_gt: missing'),
        ({'datasets__train__dataroot_lq': 'nowhere'}, 'datasets:train:dataroot_lq: no folder'),
        ({'datasets__train__gt_size': 64}, 'measures 48x40, less than a crop of gt_size 64'),
        ({'datasets__train__gt_size': ...}, 'datasets:train:gt_size: missing'),
        (
            {'datasets__val__type': 'SingleImageDataset', 'datasets__val__dataroot_gt': ...},
            'datasets:val: .*needs pairs',
        ),
        ({'val__tile': 64}, 'val:tile: unknown key'),
        ({'datasets__val__meta_info_file': 'kernel.yml'}, 'datasets:val:meta_info_file: '),
        ({'networkg': {}}, 'networkg: unknown key; did you mean network_g'),
    ],
)
def test_mistake_is_one_line_and_nothing_is_created(
    kernel_options: Options, told: Callable[[Options], str], changes: Options, message: str
) -> None:
    line = told(changed(kernel_options, **changes))
    assert re.match('error: .*' + message, line), line


def test_a_test_needs_weights(
    kernel_options: Options, write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel_options['datasets'] = {'test_1': kernel_options['datasets']['val']}
    sys.argv = ['test.py', '-opt', str(write(kernel_options))]
    with pytest.raises(SystemExit):
        basicsr.utils.options.parse_options(str(tmp_path), is_train=False)
    assert (
        'path:pretrain_network_g: missing; give the weights of network_g (a test needs them)' in capsys.readouterr().err
    )
