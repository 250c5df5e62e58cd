"""Files of ImageNet networks that have seen nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models.vgg import cfgs, make_layers

from tests.golden_recipe import fill_weights
from tests.torch_hub import fill_torch_home


@pytest.fixture(scope='session')
def golden_vgg16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    features = fill_weights(make_layers(cfgs['D']))
    path = tmp_path_factory.mktemp('vgg') / 'vgg16.pth'
    torch.save({f'features.{key}': value for key, value in features.state_dict().items()}, path)
    return path


@pytest.fixture(scope='session')
def filled_torch_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill_torch_home(tmp_path_factory.mktemp('torch'))


@pytest.fixture
def torch_home(filled_torch_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torch finds AlexNet and SqueezeNet."""
    monkeypatch.setenv('TORCH_HOME', str(filled_torch_home))
    return filled_torch_home
