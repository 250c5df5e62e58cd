"""The lpips package's network with all of its weights, or a clear line."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torch import nn
from torchvision.models import get_model_weights

from b2b_basicsr.errors import UserError

TRUNKS = {'alex': 'alexnet', 'vgg': 'vgg16', 'squeeze': 'squeezenet1_1'}
"""What the lpips package calls a network, and what torchvision calls the ImageNet network in it."""

SMALLEST_SIDE = {'alex': 31, 'vgg': 16, 'squeeze': 17}
"""Pixels of the shorter side from which on every layer of a network has something to see."""


def lpips_network(net: str) -> nn.Module:
    """LPIPS, version 0.1. Zhang et al., CVPR 2018, "The Unreasonable Effectiveness of Deep Features".

    The linear layers' weights come with the lpips package, the ImageNet network's from where torch keeps its downloads
    (``TORCH_HOME``); what is not there is downloaded, as the lpips package itself would.

    Args:
        net: ``alex``, ``vgg`` or ``squeeze``.

    Returns:
        An ``lpips.LPIPS`` on the CPU, in eval mode and without gradients of its own.

    Raises:
        UserError: ``net`` is none of these, or the ImageNet weights can neither be found nor downloaded, or the file
            that lies in their place is damaged or another network's.
    """
    if net not in TRUNKS:
        raise UserError(f'net: {net!r} is unknown to LPIPS; known are {", ".join(TRUNKS)}')
    file = _hub_file(TRUNKS[net])
    trunk = _trunk(TRUNKS[net], file)
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
                    f"LPIPS: {str(file)!r} does not hold torchvision's {TRUNKS[net]} ({of_torchvision} is missing or "
                    'of another shape); remove it, or put the right file there'
                )
            state[key] = given
    network.load_state_dict(state, strict=False, assign=True)
    left = [key for key, value in network.state_dict().items() if value.is_meta]
    if left:
        raise RuntimeError(f'this version of the lpips package has weights that we know nothing of: {left}')
    return network.float().eval().requires_grad_(False)


def _hub_file(model: str) -> Path:
    """Where torch keeps the download of torchvision's ImageNet weights, which may not be there yet."""
    return Path(torch.hub.get_dir(), 'checkpoints', Path(urlparse(_weights(model).url).path).name)


def _weights(model: str) -> Any:
    return get_model_weights(model)['IMAGENET1K_V1']


def _trunk(model: str, file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        url = _weights(model).url
        try:
            downloaded: Mapping[str, Any] = _weights(model).get_state_dict(progress=True, check_hash=True)
        except Exception as cause:
            raise UserError(
                f'LPIPS: the weights of {model} are not there, and downloading them failed ({_one_line(cause)}); get '
                f'{url} on a machine with network, and put it where torch looks: {file}'
            ) from cause
        return downloaded
    try:
        content = torch.load(file, map_location='cpu', weights_only=True)
    except Exception as cause:
        raise UserError(f'LPIPS: {str(file)!r} cannot be read as weights; remove it, or put it there whole') from cause
    return content if isinstance(content, Mapping) else {}


def _one_line(cause: Exception) -> str:
    return ' '.join(f'{type(cause).__name__}: {cause}'.split())[:160]
