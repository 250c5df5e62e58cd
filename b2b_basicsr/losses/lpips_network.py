"""The lpips package's network with all of its weights, or a clear line."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from b2b_basicsr.errors import UserError
from b2b_basicsr.losses.imagenet_weights import imagenet_weights

LpipsNet = Literal['alex', 'vgg', 'squeeze']

TRUNKS = {'alex': 'alexnet', 'vgg': 'vgg16', 'squeeze': 'squeezenet1_1'}
"""What the lpips package calls a network, and what torchvision calls the ImageNet network in it."""

SMALLEST_SIDE = {'alex': 31, 'vgg': 16, 'squeeze': 17}
"""Pixels of the shorter side from which on every layer of a network has something to see."""


def lpips_network(net: str, weights: str | None = None) -> nn.Module:
    """LPIPS, version 0.1. Zhang et al., CVPR 2018, "The Unreasonable Effectiveness of Deep Features".

    The linear layers' weights come with the lpips package, the ImageNet network's are torchvision's.

    Args:
        net: ``alex``, ``vgg`` or ``squeeze``.
        weights: of the ImageNet network: a file of torchvision's; ``download``, for the one that torch keeps of earlier
            downloads (``TORCH_HOME``), which is fetched if it is not there; ``None`` for that one, and no network.

    Returns:
        An ``lpips.LPIPS`` on the CPU, in eval mode and without gradients of its own.

    Raises:
        UserError: ``net`` is none of these, or the ImageNet weights are not there or cannot be downloaded, or the file
            is damaged or another network's.
    """
    if net not in TRUNKS:
        raise UserError(f'net: {net!r} is unknown to LPIPS; known are {", ".join(TRUNKS)}')
    trunk, file = imagenet_weights(TRUNKS[net], weights, 'LPIPS: weights')
    import lpips

    # Built without numbers: nothing is drawn at random that could stay so unseen, and VGG16's classifier costs nothing.
    with torch.device('meta'), warnings.catch_warnings():
        warnings.filterwarnings('ignore', category=UserWarning, module='torchvision')
        network: nn.Module = lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False)
    linear = Path(lpips.__file__).parent / 'weights' / 'v0.1' / f'{net}.pth'
    state: dict[str, Any] = dict(torch.load(linear, map_location='cpu', weights_only=True))
    for key, wanted in network.state_dict().items():
        if key.startswith('net.'):
            of_torchvision = f'features.{key.split(".", 2)[2]}'  # of net.slice1.0.weight, features.0.weight
            given = trunk.get(of_torchvision)
            if not isinstance(given, torch.Tensor) or given.shape != wanted.shape:
                raise UserError(
                    f"LPIPS: weights: {file!r} does not hold torchvision's {TRUNKS[net]} ({of_torchvision} is missing "
                    'or of another shape); remove it, or put the right file there'
                )
            state[key] = given
    network.load_state_dict(state, strict=False, assign=True)
    left = [key for key, value in network.state_dict().items() if value.is_meta]
    if left:
        raise RuntimeError(f'this version of the lpips package has weights that we know nothing of: {left}')
    return network.float().eval().requires_grad_(False)
