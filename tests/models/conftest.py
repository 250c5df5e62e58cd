"""A small Blur2BlurModel."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.losses.conftest import golden_vgg16  # noqa: F401  a fixture of both folders

Options = dict[str, Any]


@pytest.fixture
def options(tmp_path: Path) -> Options:
    """Parsed options of a small training, as BasicSR's ``parse_options`` gives them."""
    paths = {name: str(tmp_path / name) for name in ('models', 'training_states', 'visualization')}
    for path in paths.values():
        Path(path).mkdir()
    adam = {'type': 'Adam', 'lr': 2e-4, 'betas': [0.5, 0.999]}
    return {
        'name': 'small',
        'model_type': 'Blur2BlurModel',
        'num_gpu': 0,
        'is_train': True,
        'dist': False,
        'rank': 0,
        'world_size': 1,
        'manual_seed': 0,
        'path': paths,
        'datasets': {'train': {}, 'val': {'name': 'set'}},
        'network_g': {'type': 'MIMOUNet', 'num_res': 1, 'base_channel': 8},
        'network_d': {'type': 'PatchGANDiscriminator', 'num_feat': 8, 'n_layers': 1, 'norm': 'none'},
        'train': {
            'optim_g': deepcopy(adam),
            'optim_d': deepcopy(adam),
            'scheduler': {'type': 'LinearDecayLR', 'start': 2},
            'total_iter': 6,
            'pixel_opt': {'type': 'BlockMeanLoss'},
            'perceptual_opt': {'type': 'RandomFeatureLoss', 'num_feat': 4, 'num_conv': [1, 1]},
            'gan_opt': {'type': 'GANLoss', 'gan_type': 'hinge', 'loss_weight': 0.5},
            'gp_opt': {'weight': 1e-4},
        },
    }


@pytest.fixture
def batch() -> Callable[[int], dict[str, torch.Tensor]]:
    """``batch(seed)``: two pictures each of B and K."""

    def make(seed: int, size: int = 2) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return {name: torch.rand(size, 3, 32, 32, generator=generator) for name in ('lq', 'known')}

    return make
