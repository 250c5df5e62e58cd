"""A folder as torch keeps its downloads in, with weights of ImageNet networks that have seen nothing."""

from __future__ import annotations

from pathlib import Path

import torch
from torchvision.models import alexnet, squeezenet1_1

from tests.golden_recipe import fill_weights

ALEXNET = 'alexnet-owt-7be5be79.pth'
SQUEEZENET = 'squeezenet1_1-b8a52dc0.pth'


def fill_torch_home(home: Path) -> Path:
    """Lays out AlexNet's and SqueezeNet's files below a ``TORCH_HOME``; returns it."""
    folder = home / 'hub' / 'checkpoints'
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(squeezenet1_1(weights=None).state_dict(), folder / SQUEEZENET)
    with torch.device('meta'):
        net = alexnet(weights=None)
    features = fill_weights(net.features.to_empty(device='cpu'))
    state = {f'features.{key}': value for key, value in features.state_dict().items()}
    # The classifier is not looked at: one number, in the shape of 57 million.
    state |= {key: torch.zeros(1).expand(value.shape) for key, value in net.state_dict().items() if key not in state}
    torch.save(state, folder / ALEXNET)
    return home
