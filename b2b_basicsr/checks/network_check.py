"""Networks of an option file: can they be built, do the weights fit, do they take the crops?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

from b2b_basicsr.checks.registered import construct, registered
from b2b_basicsr.errors import UserError
from b2b_basicsr.models.checkpoint import check_fit, read_state_dict
from b2b_basicsr.models.frozen_network import has_weights_of_its_own
from b2b_basicsr.registration import is_our_object


def build_without_numbers(opt: Mapping[str, Any], name: str) -> nn.Module:
    """The network of a ``network_*`` section on torch's meta device.

    Raises:
        UserError: if it cannot be built.
    """
    section = opt[name]
    if not isinstance(section, Mapping) or 'type' not in section:
        raise UserError(f'{name}: must be a section with a type, as {{type: MIMOUNet}}')
    kind = registered(ARCH_REGISTRY, name, section['type'])
    arguments = {key: value for key, value in section.items() if key != 'type'}
    try:
        with torch.device('meta'):
            net: nn.Module = construct(kind, name, arguments)
    except UserError:
        if is_our_object(kind):
            raise
        with torch.random.fork_rng(devices=()):  # some of BasicSR's compute with numbers while they are built
            net = construct(kind, name, arguments)
    return net.to('meta')  # a network that carries its weights reads them from a file all the same


def check_weights(opt: Mapping[str, Any], name: str, net: nn.Module, needed_because: str | None = None) -> None:
    """Reads the network's weights and compares them with it.

    Args:
        opt: the parsed option file.
        name: of the section, ``network_g`` say.
        net: that network.
        needed_because: why it must have weights; ``None`` if it need not. A network that carries its own need not.

    Raises:
        UserError: if they are missing, unreadable or another network's.
    """
    label = name.removeprefix('network_')
    key = f'path:pretrain_{name}'
    path = opt['path'].get(f'pretrain_{name}')
    if path is None:
        if needed_because is not None and not has_weights_of_its_own(net):
            raise UserError(f'{key}: missing; give the weights of {name} ({needed_because})')
        return
    weights, _ = read_state_dict(key, path, opt['path'].get(f'param_key_{label}', 'params'))
    if opt['path'].get(f'strict_load_{label}', True):
        check_fit(key, path, net, weights)


def check_translator(name: str, net: nn.Module, crop: int, role: str = 'a translator') -> list[int]:
    """One pass over a crop without numbers: does the network take it, and keep its size?

    Args:
        name: of its section.
        net: on torch's meta device.
        crop: side of the crops, ``gt_size``.
        role: what such a network is, for messages.

    Returns:
        The shorter side of each output; none where torch cannot do the pass without numbers.

    Raises:
        UserError: if it does not.
    """
    picture = torch.empty(1, 3, crop, crop, device='meta')
    output = _passed(name, net, picture, f'a crop of gt_size {crop}')
    if output is None:
        return []
    outputs = output if isinstance(output, list | tuple) else [output]
    if outputs[-1].shape != picture.shape:
        raise UserError(
            f'{name}: {type(net).__name__} makes {list(outputs[-1].shape)} of {list(picture.shape)}; '
            f'{role} keeps the size'
        )
    return [min(one.shape[-2:]) for one in outputs]


def check_discriminator(name: str, net: nn.Module, crop: int, sides: Sequence[int]) -> None:
    """One pass over each of the translator's outputs: does the network take them, and give a score?

    Args:
        name: of its section.
        net: on torch's meta device.
        crop: side of the crops, ``gt_size``.
        sides: of the translator's outputs.

    Raises:
        UserError: if it does not.
    """
    for side in sides or [crop]:
        picture = torch.empty(1, 3, side, side, device='meta')
        of_what = '' if side == crop else f", the translator's output of {side} x {side} pixels"
        output = _passed(name, net, picture, f'a crop of gt_size {crop}{of_what}')
        if output is None:
            return
        last = output[-1] if isinstance(output, list | tuple) else output
        if last.shape[1] != 1:
            raise UserError(
                f'{name}: {type(net).__name__} gives {last.shape[1]} channels; a discriminator gives one score'
            )


def _passed(name: str, net: nn.Module, picture: torch.Tensor, what: str) -> Any:
    try:
        with torch.no_grad():
            return net.eval()(picture)
    except NotImplementedError:
        return None  # an operation that torch cannot do without numbers
    except Exception as cause:
        if not is_our_object(type(net)) and re.search(r'\bmeta\b', str(cause)):
            return None  # the same, told by another name
        raise UserError(
            f'{name}: {type(net).__name__} cannot take {what}: {" ".join(str(cause).split())[:200]}'
        ) from cause
