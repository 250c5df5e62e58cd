"""A file of VGG16's features, filled by the golden recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models.vgg import cfgs, make_layers

from tests.golden_recipe import fill_weights


@pytest.fixture(scope='session')
def golden_vgg16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    features = fill_weights(make_layers(cfgs['D']))
    path = tmp_path_factory.mktemp('vgg') / 'vgg16.pth'
    torch.save({f'features.{key}': value for key, value in features.state_dict().items()}, path)
    return path
