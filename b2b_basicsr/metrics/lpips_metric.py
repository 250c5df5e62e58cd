"""LPIPS as a metric."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

import numpy as np
import torch
from basicsr.metrics.metric_util import reorder_image
from basicsr.utils.registry import METRIC_REGISTRY
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from b2b_basicsr.errors import UserError
from b2b_basicsr.losses.lpips_network import SMALLEST_SIDE, LpipsNet, lpips_network
from b2b_basicsr.metrics.traits import metric_traits


@cache
def _network(net: str, weights: str | None, device: str) -> nn.Module:
    return lpips_network(net, weights).to(device)


def _check_lpips(net: str = 'alex', weights: str | None = None, **kwargs: Any) -> None:
    # On the CPU, and not kept: where it will run, the options do not say yet.
    lpips_network(net, weights)


@METRIC_REGISTRY.register()
@metric_traits(better='lower', check=_check_lpips)
def calculate_lpips(
    img: NDArray[np.uint8],
    img2: NDArray[np.uint8],
    net: LpipsNet = 'alex',
    crop_border: Annotated[int, Field(ge=0)] = 0,
    input_order: Literal['HWC', 'CHW'] = 'HWC',
    device: str | None = None,
    weights: str | None = None,
    **kwargs: Any,
) -> float:
    """Learned perceptual distance of two pictures, 0 for equal ones; lower is better. Zhang et al., CVPR 2018.

    The lpips package's network, version 0.1. It is built once for a process.

    Args:
        img: picture with levels in [0, 255], BGR, [h, w, 3] (or [3, h, w], see ``input_order``).
        img2: the picture to compare it with, alike.
        net: ``alex``, which the authors recommend as a metric and papers report, ``vgg`` or ``squeeze``.
        crop_border: pixels to leave out along each edge.
        input_order: ``HWC`` or ``CHW``.
        device: where it runs; ``None`` for a GPU where there is one, or else the CPU.
        weights: of the ImageNet network: ``download`` (once, to torch's download folder), a file of torchvision's, or
            ``None`` for what was downloaded before.
        kwargs: keys of an option file that are not for this metric.

    Raises:
        ValueError: the pictures differ in size.
        UserError: ``net`` is unknown, its weights are not there or cannot be downloaded, or the pictures are smaller
            than its layers can see.
    """
    if img.shape != img2.shape:
        raise ValueError(f'pictures differ in size: {img.shape} and {img2.shape}')
    if device is None:
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    network = _network(net, weights, device)
    first, second = (_tensor(reorder_image(one, input_order), crop_border, device) for one in (img, img2))
    if min(first.shape[-2:]) < SMALLEST_SIDE[net]:
        raise UserError(
            f'calculate_lpips: net {net} needs pictures of {SMALLEST_SIDE[net]}x{SMALLEST_SIDE[net]} at least, but got '
            f'{first.shape[-1]}x{first.shape[-2]}'
        )
    with torch.no_grad():
        return float(network(first, second, normalize=True))


def _tensor(levels: NDArray[np.uint8], crop_border: int, device: str) -> Tensor:
    """RGB in [0, 1], [1, 3, h, w], of BGR levels [h, w, 3]."""
    height, width = levels.shape[:2]
    inner = levels[crop_border : height - crop_border, crop_border : width - crop_border, ::-1]
    return torch.from_numpy(np.ascontiguousarray(inner)).to(device).permute(2, 0, 1)[None].float() / 255
