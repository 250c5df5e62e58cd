"""Mistakes in an option file of DeblurModel."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import basicsr.utils.options
import pytest

from b2b_basicsr.losses import PSNRLoss
from tests.checks.conftest import Options, changed, parse


@pytest.fixture
def deblur_options(options: Options, data: Path) -> Options:
    """The whole option file, as YAML gives it."""
    pairs: Options = {
        'type': 'PairedFolderDataset',
        'dataroot_lq': str(data / 'test_lq'),
        'dataroot_gt': str(data / 'test_gt'),
    }
    pairs['io_backend'] = {'type': 'disk'}
    loader = {'gt_size': 32, 'use_hflip': True, 'use_rot': False, 'num_worker_per_gpu': 0, 'batch_size_per_gpu': 2}
    return {
        **{key: options[key] for key in ('name', 'scale', 'num_gpu', 'manual_seed', 'val', 'logger')},
        'model_type': 'DeblurModel',
        'datasets': {'train': {'name': 'train', **pairs, **loader}, 'val': {'name': 'test', **pairs}},
        'network_g': {'type': 'NAFNet', 'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]},
        'path': {'pretrain_network_g': None, 'resume_state': None},
        'train': {
            'optim_g': {'type': 'AdamW', 'lr': 1e-3, 'weight_decay': 1e-3, 'betas': [0.9, 0.9]},
            'scheduler': {'type': 'ConstantCosineLR', 'start': 1, 'eta_min': 1e-7},
            'total_iter': 4,
            'max_grad_norm': 0.01,
            'mixup_opt': {'beta': 1.2, 'use_identity': True},
            'progressive_patches': [
                {'iterations': 3, 'gt_size': 16, 'batch_size_per_gpu': 2},
                {'iterations': 1, 'gt_size': 32, 'batch_size_per_gpu': 1},
            ],
            'pixel_opt': {'type': 'PSNRLoss'},
        },
    }


@pytest.mark.parametrize(
    'changes',
    [
        {},
        {'train__progressive_patches': None, 'train__mixup_opt': None, 'train__max_grad_norm': None},
        {'train__optim_g__type': 'Adam'},
        {'train__scheduler': {'type': 'CosineAnnealingRestartLR', 'periods': [4], 'eta_min': 1e-7}},
        {'network_g': {'type': 'MIMOUNet', 'num_res': 1, 'base_channel': 8}},
        {'datasets__val__dataroot_gt': ..., 'datasets__val__type': 'SingleFolderDataset', 'val__best': None},
    ],
)
def test_a_whole_file_passes(
    deblur_options: Options, write: Callable[..., Path], tmp_path: Path, changes: Options
) -> None:
    assert parse(write(changed(deblur_options, **changes)), tmp_path)['train']['total_iter'] == 4


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'network_g': ...}, r'tiny\.yml: network_g: missing'),
        ({'network_g__widht': 4}, r'network_g:widht: unknown key; did you mean width\?'),
        (
            {'network_g': {'type': 'MSRResNet', 'num_feat': 4, 'num_block': 1}},
            'network_g: MSRResNet makes .*; a deblurrer keeps the size',
        ),
        ({'train__optim_g__type': 'SGD'}, "train:optim_g:type: 'SGD': must be 'Adam' or 'AdamW'"),
        (
            {'train__optim_g__weight_decay': '1e-3'},
            "train:optim_g:weight_decay: '1e-3': .*YAML reads 1e-3 as text: write 0.001",
        ),
        ({'train__optim_g__betass': [0.9, 0.9]}, r'train:optim_g:betass: unknown key; did you mean betas\?'),
        ({'train__optim_d': {'type': 'Adam', 'lr': 1e-4}}, 'train:optim_d: unknown key; did you mean optim_g'),
        ({'train__scheduler__start': ...}, 'train:scheduler:start: missing'),
        ({'train__scheduler__start': 4}, 'train:scheduler:start: 4 is not before total_iter, 4'),
        (
            {'train__scheduler__eta_min': '1e-7'},
            "train:scheduler:eta_min: '1e-7': .*YAML reads 1e-7 as text: write 0.0000001",
        ),
        (
            {'train__scheduler': {'type': 'CosineAnnealingRestartLR', 'periods': [2]}},
            'train:scheduler:periods: they last 2 iterations, fewer than total_iter, 4',
        ),
        ({'train__grad_clip': 0.01}, 'train:grad_clip: unknown key'),
        ({'train__max_grad_norms': 0.01}, 'train:max_grad_norms: unknown key; did you mean max_grad_norm'),
        ({'train__max_grad_norm': 0}, 'train:max_grad_norm: 0: .*greater than 0'),
        ({'train__mixup_opt__beta': 0}, 'train:mixup_opt:beta: 0: .*greater than 0'),
        ({'train__mixup_opt__alpha': 1}, 'train:mixup_opt:alpha: unknown key; known are beta, use_identity'),
        ({'train__pixel_opt': ...}, 'train: no loss: set pixel_opt, perceptual_opt or both'),
        ({'train__pixel_opt__type': 'PSRNLoss'}, "train:pixel_opt:type: 'PSRNLoss' .* did you mean PSNRLoss"),
        ({'train__total_iter': 5}, r'train:progressive_patches: the stages last 4 iterations in all, .* 5; make them'),
        (
            {'train__progressive_patches': [{'iterations': 4, 'gt_size': 32}]},
            'train:progressive_patches:0:batch_size_per_gpu: missing',
        ),
        (
            {'train__progressive_patches': [{'iterations': 4, 'size': 32, 'gt_size': 32, 'batch_size_per_gpu': 2}]},
            'train:progressive_patches:0:size: unknown key; did you mean gt_size',
        ),
        ({'train__progressive_patches': 3}, 'train:progressive_patches: 3: must be a list'),
        (
            {'datasets__train__gt_size': 24},
            'datasets:train:gt_size: 24, and the largest of train:progressive_patches is 32; .* make them equal',
        ),
        (
            {'datasets__train__batch_size_per_gpu': 4},
            'datasets:train:batch_size_per_gpu: 4, and the largest of train:progressive_patches is 2; ',
        ),
        ({'datasets__train__gt_size': '32', 'train__progressive_patches': None}, "datasets:train:gt_size: '32'"),
        ({'path__pretrain_network_deblur': 'x'}, 'path:pretrain_network_deblur: unknown key'),
        ({'val__best': 'psnr_direct'}, 'val:best: .*there are gain, psnr, psnr_blurry'),
        ({'val__tile': 16}, 'val:tile: 16'),
        ({'datasets__train__dataroot_gt': ...}, 'datasets:train:dataroot_gt: missing'),
        ({'datasets__train__dataroot_lq': 'nowhere'}, 'datasets:train:dataroot_lq: no folder'),
        ({'networkg': {}}, 'networkg: unknown key; did you mean network_g'),
    ],
)
def test_mistake_is_one_line_and_nothing_is_created(
    deblur_options: Options, told: Callable[[Options], str], changes: Options, message: str
) -> None:
    line = told(changed(deblur_options, **changes))
    assert re.match('error: .*' + message, line), line


def test_smallest_patch_is_large_enough_for_the_loss(
    deblur_options: Options,
    write: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PSNRLoss, 'smallest_side', staticmethod(lambda: 17), raising=False)
    with pytest.raises(SystemExit):
        parse(write(deblur_options), tmp_path)
    assert 'train:pixel_opt: PSNRLoss needs pictures of 17 pixels at least' in capsys.readouterr().err
    monkeypatch.setattr(PSNRLoss, 'smallest_side', staticmethod(lambda: 16))
    assert parse(write(deblur_options), tmp_path)['is_train']


def test_a_test_needs_weights(
    deblur_options: Options, write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deblur_options['datasets'] = {'test_1': deblur_options['datasets']['val']}
    sys.argv = ['test.py', '-opt', str(write(deblur_options))]
    with pytest.raises(SystemExit):
        basicsr.utils.options.parse_options(str(tmp_path), is_train=False)
    assert (
        'path:pretrain_network_g: missing; give the weights of network_g (a test needs them)' in capsys.readouterr().err
    )
