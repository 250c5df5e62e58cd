"""G trained from B straight to S: the data set gives S as K, and there is no deblurrer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from basicsr.data import build_dataloader, build_dataset
from basicsr.metrics import calculate_psnr
from basicsr.models import build_model
from basicsr.utils import tensor2img
from PIL import Image

Options = dict[str, Any]


@pytest.fixture
def direct(options: Options, tmp_path: Path) -> Options:
    generator = np.random.default_rng(0)
    for folder in ('B', 'S', 'lq', 'gt'):
        (tmp_path / folder).mkdir()
        for number in range(2):
            levels = generator.integers(0, 256, (37, 45, 3), dtype=np.uint8)
            Image.fromarray(levels).save(tmp_path / folder / f'{number}.png')
    disk = {'io_backend': {'type': 'disk'}, 'scale': 1}
    options['datasets'] = {
        'train': {
            **disk,
            'type': 'UnpairedBlurDataset',
            'name': 'train',
            'phase': 'train',
            'dataroot_blur': str(tmp_path / 'B'),
            'dataroot_known': str(tmp_path / 'S'),
            'gt_size': 32,
            'batch_size_per_gpu': 2,
        },
        'val': {
            **disk,
            'type': 'PairedFolderDataset',
            'name': 'val',
            'phase': 'val',
            'dataroot_lq': str(tmp_path / 'lq'),
            'dataroot_gt': str(tmp_path / 'gt'),
        },
    }
    psnr = {'type': 'calculate_psnr', 'crop_border': 0, 'test_y_channel': False}
    options['val'] = {'val_freq': 1, 'save_img': False, 'metrics': {'psnr': psnr}, 'best': 'psnr'}
    options['network_g'] = {'type': 'UNet', 'num_feat': 4, 'num_levels': 2}
    options['train'] |= {'identity_start': True, 'ema_decay': 0.5}
    options['train']['optim_g']['lr'] = 0.05
    return options


def test_g_is_trained_towards_s_and_scored_alone(direct: Options) -> None:
    model = build_model(direct)
    dataset = build_dataset(direct['datasets']['train'])
    batch = torch.utils.data.default_collate([dataset[0], dataset[1]])
    assert batch['known_path'][0].startswith(direct['datasets']['train']['dataroot_known'])
    section = direct['datasets']['val']
    loader = build_dataloader(build_dataset(section), section)
    model.validation(loader, 0, None, False)
    before = dict(model.metric_results)
    assert set(before) == {'psnr', 'psnr_blurry'}
    assert before['psnr'] == before['psnr_blurry'], 'G starts as the identity'
    for iteration in (1, 2):
        model.update_learning_rate(iteration)
        model.feed_data(batch)
        model.optimize_parameters(iteration)
    model.validation(loader, 2, None, False)
    after = dict(model.metric_results)
    assert after['psnr_blurry'] == before['psnr_blurry']
    scores = []
    with torch.no_grad():
        for sample in build_dataset(section):
            made = model.net_g_ema(sample['lq'][None])
            scores.append(calculate_psnr(tensor2img([made]), tensor2img([sample['gt']]), crop_border=0))
    assert after['psnr'] == pytest.approx(np.mean(scores))
    assert after['psnr'] != before['psnr']
    assert Path(direct['path']['models'], 'net_g_best.pth').is_file()
