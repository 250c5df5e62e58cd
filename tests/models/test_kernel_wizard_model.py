from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from basicsr.metrics import calculate_psnr
from basicsr.models import build_model
from torch.utils.data import DataLoader

from b2b_basicsr.errors import UserError
from b2b_basicsr.records.picture_scores import ScoredPicture

Options = dict[str, Any]
SMALL: Options = {'type': 'KernelWizard', 'nf': 8, 'front_RBs': 1, 'back_RBs': 1, 'kernel_dim': 16, 'n_blocks': 1}


class _Pairs(torch.utils.data.Dataset[dict[str, Any]]):
    """Three pairs: smooth random pictures and their horizontal box means."""

    opt: Options = {'name': 'pairs', 'dataroot_lq': 'lq'}  # noqa: RUF012

    def __init__(self, count: int = 3) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= self.count:
            raise IndexError(index)
        noise = cv2.GaussianBlur(np.random.default_rng(index).random((128, 128, 3)), (0, 0), 1.5)
        sharp = ((noise - noise.min()) / (noise.max() - noise.min())).astype(np.float32)
        pictures = {'gt': sharp, 'lq': cv2.blur(sharp, (9, 1))}
        return {
            **{name: torch.from_numpy(picture.transpose(2, 0, 1).copy()) for name, picture in pictures.items()},
            **{f'{name}_path': f'{name}/{index}.png' for name in pictures},
        }


@pytest.fixture
def kernel_options(options: Options) -> Options:
    """Parsed options of a small training."""
    for key in ('network_d', 'network_g'):
        options.pop(key)
    options |= {'model_type': 'KernelWizardModel', 'network_g': dict(SMALL)}
    options['datasets'] = {'train': {}, 'val': {'name': 'pairs'}}
    options['train'] = {
        'ema_decay': 0.5,
        'optim_g': {'type': 'Adam', 'lr': 2e-3, 'betas': [0.9, 0.99]},
        'scheduler': {'type': 'CosineAnnealingRestartLR', 'periods': [40], 'restart_weights': [1], 'eta_min': 1e-8},
        'total_iter': 40,
        'pixel_opt': {'type': 'CharbonnierLoss', 'reduction': 'sum', 'eps': 1e-6},
    }
    options['val'] = {'best': 'psnr', 'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 0}}}
    return options


def _batch() -> dict[str, torch.Tensor]:
    pairs = [_Pairs()[index] for index in range(2)]
    return {name: torch.stack([pair[name] for pair in pairs]) for name in ('lq', 'gt')}


def _train(model: Any, steps: int) -> list[float]:
    losses = []
    for step in range(1, steps + 1):
        model.update_learning_rate(step)
        model.feed_data(_batch())
        model.optimize_parameters(step)
        losses.append(model.get_current_log()['l_pix'])
    return losses


def test_it_learns_to_reblur(kernel_options: Options) -> None:
    torch.manual_seed(0)
    model = build_model(kernel_options)
    losses = _train(model, 30)
    assert losses[-1] < 0.7 * losses[0]
    weights = torch.cat([weight.flatten() for weight in model.net_g.state_dict().values()])
    averaged = torch.cat([weight.flatten() for weight in model.net_g_ema.state_dict().values()])
    assert not torch.equal(weights, averaged)


def test_loss_is_the_papers(kernel_options: Options) -> None:
    model = build_model(kernel_options)
    batch = _batch()
    with torch.no_grad():
        reblurred, _, _ = model.net_g.reblur(batch['gt'], batch['lq'])
    model.feed_data(batch)
    model.optimize_parameters(1)
    expected = torch.sqrt((reblurred - batch['lq']).square() + 1e-6).sum()
    assert model.get_current_log()['l_pix'] == pytest.approx(float(expected), rel=1e-5)
    assert 'l_kl' not in model.get_current_log()


def test_vae_adds_the_divergence_and_draws_from_its_own_generator(kernel_options: Options) -> None:
    kernel_options['network_g']['use_vae'] = True
    kernel_options['train']['kl_opt'] = {'weight': 0.25}
    logs = []
    for drawn_elsewhere in (0, 5):
        torch.manual_seed(0)
        model = build_model(deepcopy(kernel_options))
        torch.rand(drawn_elsewhere + 1)
        with torch.no_grad():
            mean, sigma = model.net_g.encode(_batch()['gt'], _batch()['lq'])
        model.feed_data(_batch())
        model.optimize_parameters(1)
        logs.append(dict(model.get_current_log()))
        divergence = (mean**2 + sigma**2 - torch.log(1e-8 + sigma**2) - 1).sum()
        assert logs[-1]['l_kl'] == pytest.approx(0.25 * float(divergence), rel=1e-4)
    assert logs[0] == logs[1]


def test_validation_scores_and_writes_one_picture(kernel_options: Options, tmp_path: Path) -> None:
    model = build_model(kernel_options)
    loader = DataLoader(_Pairs(), batch_size=1)
    pictures: list[tuple[str, tuple[int, ...], int]] = []
    logger = SimpleNamespace(
        add_scalar=lambda *_: None,
        add_image=lambda name, picture, step, dataformats: pictures.append((name, picture.shape, step)),
    )
    model.validation(loader, 7, logger, save_img=True)
    results = model.metric_results
    assert set(results) == {'psnr', 'psnr_no_blur', 'gain'}
    assert results['gain'] == pytest.approx(results['psnr'] - results['psnr_no_blur'])
    levels = [
        {name: (pair[name].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8) for name in ('lq', 'gt')}
        for pair in (_Pairs()[index] for index in range(3))
    ]
    expected = np.mean([calculate_psnr(pair['gt'], pair['lq'], crop_border=0) for pair in levels])
    assert results['psnr_no_blur'] == pytest.approx(expected)
    folder = tmp_path / 'visualization' / 'pairs'
    strip = cv2.imread(str(folder / 'pairs_7.png'))
    assert strip is not None
    assert strip.shape[1] == 5 * 128 + 4 * 4  # sharp, blurry, re-blurred, other sharp, other with that blur
    assert strip.shape[0] > 3 * 128
    assert np.array_equal(strip[-128:, :128], levels[2]['gt'][..., ::-1])
    assert np.array_equal(strip[-128:, 3 * 132 : 3 * 132 + 128], levels[1]['gt'][..., ::-1]), 'another sharp picture'
    assert len(list(folder.glob('*/*_7.png'))) == 3
    assert pictures == [('pairs', strip.shape, 7)]
    saved = torch.load(tmp_path / 'models' / 'net_g_best.pth', weights_only=True)
    assert saved['network'] == SMALL
    assert {'params', 'params_ema'} <= set(saved)
    assert model.net_g.training


def test_validation_crops_to_the_centre(kernel_options: Options) -> None:
    kernel_options['val']['crop'] = 64
    model = build_model(kernel_options)
    model.validation(DataLoader(_Pairs(1), batch_size=1), 1, None, save_img=False)
    assert model.output.shape[-2:] == (64, 64)


def test_resumed_training_goes_on_where_it_was(kernel_options: Options, tmp_path: Path) -> None:
    kernel_options['network_g']['use_vae'] = True
    kernel_options['train']['kl_opt'] = {'weight': 0.1}
    torch.manual_seed(0)
    model = build_model(deepcopy(kernel_options))
    _train(model, 2)
    model.save(0, 2)
    whole = _train(model, 3)
    kernel_options['path']['pretrain_network_g'] = str(tmp_path / 'models' / 'net_g_2.pth')
    again = build_model(deepcopy(kernel_options))
    state = torch.load(tmp_path / 'training_states' / '2.state', weights_only=True)
    again.resume_training(state)
    assert _train(again, 3) == pytest.approx(whole, rel=1e-6)


def test_pictures_without_a_sharp_twin_are_refused(kernel_options: Options) -> None:
    model = build_model(kernel_options)
    with pytest.raises(UserError, match='needs pairs'):
        model.feed_data({'lq': torch.rand(1, 3, 8, 8)})


def test_best_network_is_not_replaced_by_a_worse_one_after_resuming(kernel_options: Options, tmp_path: Path) -> None:
    """BasicSR saves the state of an iteration before it validates at it."""
    model = build_model(deepcopy(kernel_options))
    for iteration, values in ((2, {'psnr': 30.0, 'gain': 1.0}), (4, {'psnr': 35.0, 'gain': 9.0})):
        model.save(0, iteration)
        model._record('pairs', [ScoredPicture('a', values)], iteration, None)
    model._record('pairs', [ScoredPicture('a', {'psnr': 40.0, 'gain': 0.0})], 5, None)
    best = (tmp_path / 'models' / 'net_g_best.pth').read_bytes()
    state = torch.load(tmp_path / 'training_states' / '4.state', weights_only=True)
    assert state['best_metric_results']['pairs']['psnr']['val'] == 30.0
    again = build_model(deepcopy(kernel_options))
    again.resume_training(state)
    expected = {'better': 'higher', 'val': 35.0, 'iter': 4}
    assert again.best_metric_results['pairs']['psnr'] == expected, 'not what came after the state'
    again._record('pairs', [ScoredPicture('a', {'psnr': 34.0})], 5, None)
    assert (tmp_path / 'models' / 'net_g_best.pth').read_bytes() == best
    again._record('pairs', [ScoredPicture('a', {'psnr': 36.0})], 6, None)
    assert (tmp_path / 'models' / 'net_g_best.pth').read_bytes() != best


def test_a_value_that_is_no_number_is_never_the_best(kernel_options: Options, tmp_path: Path) -> None:
    model = build_model(kernel_options)
    model._record('pairs', [ScoredPicture('a', {'psnr': float('nan')})], 1, None)
    assert not (tmp_path / 'models' / 'net_g_best.pth').exists()
    model._record('pairs', [ScoredPicture('a', {'psnr': 30.0})], 2, None)
    assert (tmp_path / 'models' / 'net_g_best.pth').exists()
    model._record('pairs', [ScoredPicture('a', {'psnr': float('nan')})], 3, None)
    assert model.best_metric_results['pairs']['psnr']['iter'] == 2
