"""Networks that are used and never trained."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from basicsr.archs import build_network
from torch import nn

from b2b_basicsr.errors import UserError
from b2b_basicsr.models.checkpoint import load_weights


def has_weights_of_its_own(net: nn.Module) -> bool:
    """Whether a network comes with trained weights when it is built, as ``SpandrelNet`` does from its ``path``."""
    return bool(getattr(net, 'carries_weights', False))


def frozen_network(
    opt: Mapping[str, Any],
    section: str,
    device: torch.device,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> nn.Module:
    """Builds the network of an option section with its weights, in eval mode and without gradients.

    Args:
        opt: an option file, with the section and ``path``.
        section: ``network_k`` or ``network_deblur``.
        device: where it goes.
        memory_format: of its weights.

    Raises:
        UserError: if the weights are missing or another network's.
    """
    label, paths = section.removeprefix('network_'), opt.get('path') or {}
    key = f'path:pretrain_{section}'
    path = paths.get(f'pretrain_{section}')
    net: nn.Module = build_network(deepcopy(dict(opt[section])))
    if path is not None:
        load_weights(net, key, path, paths.get(f'strict_load_{label}', True), paths.get(f'param_key_{label}', 'params'))
    elif not has_weights_of_its_own(net):
        raise UserError(f'{key}: missing; {section} is frozen, and useless without its weights')
    return net.to(memory_format=memory_format).to(device).eval().requires_grad_(False)
