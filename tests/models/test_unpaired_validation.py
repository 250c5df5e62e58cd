"""A small training that chooses its best translator without ground truth."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
import torch
import yaml
from basicsr.data import build_dataloader, build_dataset
from basicsr.models import build_model
from PIL import Image

from b2b_basicsr.archs.nafnet_arch import NAFNet
from tests.compat.conftest import Script, run_python  # noqa: F401  a fixture

Options = dict[str, Any]
NAFNET: Options = {'type': 'NAFNet', 'width': 4, 'enc_blk_nums': [1], 'middle_blk_num': 1, 'dec_blk_nums': [1]}


@pytest.fixture
def options(tmp_path: Path) -> Options:
    """An option file of an unpaired training, whose pictures are there."""
    generator = np.random.default_rng(0)
    for folder, count, width in (('blur', 3, 9), ('sharp', 8, 1), ('val', 2, 9)):
        (tmp_path / folder / 'scene').mkdir(parents=True)
        for place in range(count):
            noise = cv2.GaussianBlur(generator.normal(128, 60, (70, 80, 3)), (0, 0), 1.2)
            levels = np.clip(cv2.blur(noise, (width, 1)), 0, 255).astype(np.uint8)
            Image.fromarray(levels).save(tmp_path / folder / 'scene' / f'{place}.png')
    torch.save(
        {'params': NAFNet(**{k: v for k, v in NAFNET.items() if k != 'type'}).state_dict()}, tmp_path / 'deblur.pth'
    )
    disk = {'type': 'disk'}
    adam = {'type': 'Adam', 'lr': 2e-3, 'betas': [0.5, 0.999]}
    return {
        'name': 'small', 'model_type': 'Blur2BlurModel', 'scale': 1, 'num_gpu': 0, 'manual_seed': 0,
        'datasets': {
            'train': {
                'name': 'train', 'type': 'UnpairedBlurDataset', 'dataroot_blur': 'blur', 'dataroot_sharp': 'sharp',
                'ratio': None, 'resize': None, 'synth_known_opt': {'length': [3, 5]}, 'io_backend': disk,
                'gt_size': 32, 'use_hflip': True, 'use_rot': False, 'num_worker_per_gpu': 0,
                'batch_size_per_gpu': 1, 'dataset_enlarge_ratio': 2, 'prefetch_mode': None,
            },
            'val': {'name': 'own', 'type': 'SingleFolderDataset', 'dataroot_lq': 'val', 'io_backend': disk},
        },
        'network_g': dict(NAFNET),
        'network_d': {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'n_layers': 1, 'norm': 'none'},
        'network_deblur': dict(NAFNET),
        'path': {'pretrain_network_deblur': 'deblur.pth', 'resume_state': None},
        'train': {
            'optim_g': dict(adam), 'optim_d': dict(adam), 'scheduler': {'type': 'LinearDecayLR', 'start': 2},
            'total_iter': 4, 'warmup_iter': -1, 'pixel_opt': {'type': 'BlockMeanLoss'},
            'gan_opt': {'type': 'GANLoss', 'gan_type': 'hinge', 'loss_weight': 1.0}, 'gp_opt': None,
        },
        'val': {
            'val_freq': 1, 'save_img': False, 'best': 'score',
            'metrics': {'score': {'type': 'calculate_sharp_niqe', 'sharp': 'sharp'}},
        },
        'logger': {
            'print_freq': 1, 'save_checkpoint_freq': 1, 'use_tb_logger': False, 'wandb': {'project': None}
        },
        'dist_params': {'backend': 'nccl', 'port': 29500},
    }  # fmt: skip


def test_the_score_sees_what_the_deblurrer_was_given(options: Options, tmp_path: Path) -> None:
    paths = {name: str(tmp_path / name) for name in ('models', 'training_states', 'visualization')}
    for path in paths.values():
        Path(path).mkdir()
    paths['pretrain_network_deblur'] = str(tmp_path / 'deblur.pth')
    section = {**options['datasets']['val'], 'phase': 'val', 'scale': 1, 'dataroot_lq': str(tmp_path / 'val')}
    options |= {'is_train': True, 'dist': False, 'rank': 0, 'world_size': 1, 'path': paths}
    options['datasets']['val'] = section
    options['val'] |= {'best': None, 'metrics': {'score': {'type': 'calculate_sharp_niqe', 'sharp': str(tmp_path)}}}
    for with_deblurrer in (True, False):
        if not with_deblurrer:
            del options['network_deblur']
        model = build_model(options)
        calls = Mock(return_value={'score': 1.0})
        model.scores.of = calls
        model.validation(build_dataloader(build_dataset(section), section), 1, None, False)
        # Of each of two pictures, at first: x, x deblurred where there is a deblurrer, and the restored one.
        blurry, *direct, restored = calls.call_args_list[: 3 if with_deblurrer else 2]
        assert len(calls.call_args_list) == (6 if with_deblurrer else 4)
        x = blurry.args[0]
        assert all(np.array_equal(call.args[2], x) for call in (blurry, *direct))
        given = restored.args[2]
        if with_deblurrer:
            assert not np.array_equal(given, x), 'G(x)'
            assert not np.array_equal(given, restored.args[0])
        else:
            assert np.array_equal(given, x), 'G deblurs x itself'


@pytest.mark.slow
def test_the_lowest_score_of_an_unpaired_set_chooses_the_best_translator(
    options: Options,
    run_python: Script,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / 'small.yml').write_text(yaml.safe_dump(options))
    done = run_python('-m', 'b2b_basicsr', 'train', '-opt', 'small.yml', cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    log = done.stdout + done.stderr
    assert set(re.findall(r'# (score\w*):', log)) == {'score', 'score_direct', 'score_blurry'}
    of_each = [float(value) for value in re.findall(r'# score: ([\d.]+)', log)]
    assert len(of_each) == 5, 'four, and the last once more at the end'
    assert of_each.pop() == of_each[-1]
    assert len(set(of_each)) > 1, 'there is something to choose'
    models = tmp_path / 'experiments' / 'small' / 'models'
    best, chosen = (
        torch.load(models / f'net_g_{name}.pth', weights_only=True)['params']
        for name in ('best', np.argmin(of_each) + 1)
    )
    assert all(torch.equal(best[name], chosen[name]) for name in chosen)
