"""Scores without ground truth against the gain, on a tiny folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from PIL import Image

from b2b_basicsr.archs.nafnet_arch import NAFNet
from benchmarks.stopping_scores import Training, main, reblur_residual, tables

SIDE = 192  # two of NIQE's blocks
NAFNET: dict[str, Any] = {'width': 4, 'enc_blk_nums': [1], 'middle_blk_num': 1, 'dec_blk_nums': [1]}


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A training with two checkpoints: one whose weights are damaged, and the identity."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for place in range(4):
        noise = generator.normal(128, 60, (SIDE, SIDE + 20, 3))
        sharp = np.clip(cv2.GaussianBlur(noise, (0, 0), 1.2), 0, 255).astype(np.uint8)
        for folder, picture in (('sharp', sharp), ('gt', sharp), ('blurry', cv2.blur(sharp, (9, 1)))):
            Path(folder).mkdir(exist_ok=True)
            Image.fromarray(picture).save(Path(folder, f'{place}.png'))
    models = tmp_path / 'experiments' / 'tiny' / 'models'
    models.mkdir(parents=True)
    net = NAFNet(**NAFNET)
    net.start_as_identity()
    torch.save({'params': net.state_dict()}, 'deblur.pth')
    torch.save({'params_ema': net.state_dict()}, models / 'net_g_10.pth')
    damaged = {name: value + 0.05 * torch.randn_like(value) for name, value in net.state_dict().items()}
    torch.save({'params_ema': damaged}, models / 'net_g_5.pth')
    torch.save({'params_ema': damaged}, models / 'net_g_latest.pth')
    network, disk = {'type': 'NAFNet', **NAFNET}, {'type': 'disk'}
    options = {
        'name': 'tiny',
        'datasets': {
            'train': {
                'name': 'train', 'type': 'UnpairedBlurDataset', 'dataroot_blur': 'blurry', 'dataroot_sharp': 'sharp',
                'synth_known_opt': {'length': [3, 5]}, 'io_backend': disk, 'gt_size': 64, 'use_hflip': True,
                'use_rot': False, 'batch_size_per_gpu': 1, 'num_worker_per_gpu': 0,
            },
            'val': {'name': 'val', 'dataroot_lq': 'blurry', 'dataroot_gt': 'gt'},
        },
        'network_g': network, 'network_deblur': network, 'path': {'pretrain_network_deblur': 'deblur.pth'},
    }  # fmt: skip
    (models.parent / 'tiny.yml').write_text(yaml.safe_dump(options))
    return models.parent


def test_every_candidate_is_measured_at_every_checkpoint(experiment: Path) -> None:
    arguments = [str(experiment), '--pictures', '2', '--side', str(SIDE), '--json']
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    gains, candidates = json.loads(result.stdout.splitlines()[-1])['tables']
    (row,) = gains['rows']
    assert row['iterations'] == '5 10'
    damaged, identity = map(float, row['gain (dB)'].split())
    assert damaged < identity == 0
    rows = {each['candidate']: each for each in candidates['rows']}
    assert len(rows) > 15
    assert rows['the last checkpoint']['lost (dB)'] == 0
    ours = rows['calculate_sharp_niqe, faithfulness 8']
    assert ours['correlation'] == ours['tiny'] == pytest.approx(1)
    assert ours['lost (dB)'] == 0


def test_mistakes_are_one_line(experiment: Path) -> None:
    (experiment / 'models' / 'net_g_5.pth').unlink()
    result = CliRunner().invoke(main, [str(experiment)])
    assert result.exit_code == 2
    assert 'needs an option file and two checkpoints' in result.output
    assert CliRunner().invoke(main, [str(experiment), '--gt', 'gt']).exit_code == 2


def test_tables_of_known_values() -> None:
    scores = {'right': [3.0, 1.0, 2.0], 'wrong': [1.0, 3.0, 2.0]}
    training = Training('x', [1, 2, 3], [-1.0, 2.0, 1.0], scores, {'right': 2.5, 'wrong': 0.0})
    right, wrong, last = tables([training, training])[1].rows
    assert right == {'candidate': 'right', 'correlation': 1, 'lost (dB)': 0, 'tells gain': 1, 'x': 1}
    assert wrong['correlation'] == -1
    assert wrong['lost (dB)'] == 3
    assert wrong['tells gain'] == pytest.approx(1 / 3)
    assert last['lost (dB)'] == 1


def test_blurred_again_the_true_picture_explains_the_blurry_one() -> None:
    sharp, other = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    blurry = np.asarray(cv2.blur(sharp, (7, 3)), dtype=np.uint8)
    assert reblur_residual(sharp, blurry) < 4 < 8 < reblur_residual(other, blurry)
