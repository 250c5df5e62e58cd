"""LPIPS as Blur2BlurModel's content loss, and as the metric that chooses the best translator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from basicsr.data import build_dataloader, build_dataset
from basicsr.models import build_model
from PIL import Image

from tests.losses.conftest import filled_torch_home, torch_home  # noqa: F401  fixtures of both folders

Options = dict[str, Any]


def test_lpips_alone_trains_the_translator(
    options: Options,
    batch: Callable[..., dict[str, torch.Tensor]],
    torch_home: Path,  # noqa: F811
) -> None:
    options['network_g'] = {'type': 'NAFNet', 'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]}
    options['train']['lpips_opt'] = {'type': 'LPIPSLoss', 'net': 'squeeze', 'loss_weight': 10.0}
    options['train']['gan_opt']['loss_weight'] = 0.0
    for name in ('pixel_opt', 'perceptual_opt'):
        del options['train'][name]
    torch.manual_seed(0)
    model = build_model(options)
    values = []
    for iteration in range(1, 5):
        model.feed_data(batch(0))
        model.optimize_parameters(iteration)
        values.append(model.get_current_log()['l_g_lpips'])
    assert values[0] > values[1] > values[3] > 0


def test_the_lower_lpips_is_the_best(options: Options, tmp_path: Path, torch_home: Path) -> None:  # noqa: F811
    generator = np.random.default_rng(0)
    for side in ('lq', 'gt'):
        (tmp_path / side).mkdir()
        Image.fromarray(generator.integers(0, 256, (36, 40, 3), dtype=np.uint8)).save(tmp_path / side / '0.png')
    section = {
        'name': 'set', 'type': 'PairedImageDataset', 'phase': 'val', 'scale': 1, 'io_backend': {'type': 'disk'},
        'dataroot_lq': str(tmp_path / 'lq'), 'dataroot_gt': str(tmp_path / 'gt'),
    }  # fmt: skip
    lpips = {'type': 'calculate_lpips', 'net': 'squeeze', 'device': 'cpu'}
    options['datasets']['val'] = section
    options['val'] = {'val_freq': 1, 'save_img': False, 'metrics': {'lpips': lpips}, 'best': 'lpips'}
    model = build_model(options)
    found = []
    for iteration, exact in ((1, False), (2, True), (3, False)):
        model.net_g.forward = (lambda picture: [_gt(tmp_path)]) if exact else (lambda picture: [picture])
        model.validation(build_dataloader(build_dataset(section), section), iteration, None, False)
        found.append(model.metric_results['lpips'])
    assert found[1] == 0 < found[0] == found[2]
    best = torch.load(tmp_path / 'models' / 'net_g_best.pth', weights_only=True)
    assert 'params' in best
    assert model.best_metric_results['set']['lpips'] == {'better': 'lower', 'val': 0.0, 'iter': 2}


def _gt(root: Path) -> torch.Tensor:
    return torch.tensor(np.asarray(Image.open(root / 'gt' / '0.png'))).permute(2, 0, 1)[None] / 255
