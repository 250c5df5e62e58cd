"""A network with its weights, from a checkpoint file alone or with an option file that describes it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from b2b_basicsr.archs.spandrel_arch import SpandrelNet
from b2b_basicsr.checks.registered import construct, registered
from b2b_basicsr.errors import UserError
from b2b_basicsr.models.checkpoint import check_fit, read_checkpoint, weights_in
from b2b_basicsr.options.option_file import read_option_file
from b2b_basicsr.restore.known_networks import KNOWN, known_network

_logger = logging.getLogger('b2b_basicsr')

TRANSLATOR_SECTIONS = ('network_g',)
DEBLURRER_SECTIONS = ('network_deblur', 'network_g')

_PARTS = ('params_ema', 'params', 'state_dict', 'model_state_dict', 'model')
"""Where checkpoints keep their weights; of several the first. EMA weights, where there are any, are what validation
scores."""


def network_from_file(
    role: str, path: str | Path, option_file: str | Path | None = None, sections: Sequence[str] = TRANSLATOR_SECTIONS
) -> nn.Module:
    """Builds the network that a checkpoint file belongs to, and puts the weights into it.

    What the network is, is looked for in this order:

    1. in ``option_file``, if one is given: the first of ``sections`` that it has;
    2. in the checkpoint, under ``network``, where this package's trainings write the section;
    3. in the names and shapes of the weights: :func:`~b2b_basicsr.restore.known_networks.known_network`. A plain
       NAFNet runs as NAFNetLocal then; with ``{type: NAFNet}`` by the first two ways it stays what it is;
    4. there, too, by spandrel, which knows the published files of many restorers.

    Args:
        role: ``translator`` or ``deblurrer``, for messages.
        path: a ``.pth`` file: BasicSR's layout (``params_ema`` is preferred to ``params``), ``state_dict`` or
            ``model`` of other training programs, or a plain state dict; or a ``.safetensors`` file. It is read without
            running code from it.
        option_file: an option file (YAML) of BasicSR's layout.
        sections: of ``option_file``, in order of preference.

    Returns:
        The network on the CPU, in eval mode, without gradients.

    Raises:
        UserError: if a file is missing, unreadable or holds no weights; if the section names no registered network or
            the weights are another network's; if nothing tells what network they are.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from b2b_basicsr.archs.mimounet_arch import MIMOUNet
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save(MIMOUNet(num_res=1, base_channel=8).state_dict(), f'{folder}/net.pth')
        ...     net = network_from_file('translator', f'{folder}/net.pth')
        >>> type(net).__name__
        'MIMOUNet'
    """
    path = Path(path).expanduser()
    content, weights, part = _read(role, path)
    if option_file is not None:
        net = _described(*_section_of_file(role, option_file, sections), role, path, weights)
    elif isinstance(content.get('network'), Mapping):
        section = _without_files(role, path, content['network'])
        net = _described(f'{role}: {str(path)!r}: network', section, role, path, weights)
    else:
        net = _recognised(role, path, weights)
    _logger.info('%s: %s from %s, with param key: [%s].', role, type(net).__name__, path, part)
    return net.eval().requires_grad_(False)


def _read(role: str, path: Path) -> tuple[Mapping[Any, Any], Mapping[str, Tensor], str]:
    """The whole content of a checkpoint, the weights in it, and the name of the part that they come from."""
    content = read_checkpoint(role, str(path))
    part = next((name for name in _PARTS if isinstance(content.get(name), Mapping)), None)
    return content, *weights_in(content, role, str(path), part)


def _section_of_file(role: str, option_file: str | Path, sections: Sequence[str]) -> tuple[str, Mapping[str, Any]]:
    """A section's whole name, for messages, and its keys."""
    opt = read_option_file(option_file, f'{role}_opt')
    for name in sections:
        if opt.get(name) is not None:
            return f'{option_file}: {name}', opt[name]
    raise UserError(f'{role}_opt: {option_file} has no section {" or ".join(sections)} to say what network it is')


def _without_files(role: str, path: Path, section: Mapping[str, Any]) -> Mapping[str, Any]:
    """A checkpoint's section. It must not have other files read, in ways that may run code from them."""
    if getattr(dict(iter(ARCH_REGISTRY)).get(str(section.get('type'))), 'carries_weights', False):
        return section  # whose file is replaced by the checkpoint itself
    for key, value in section.items():
        if key != 'type' and isinstance(value, str) and (re.search(r'[/\\]', value) or Path(value).suffix):
            raise UserError(
                f'{role}: {str(path)!r}: network: {key} names a file, {value!r}, which is not read on the word of a '
                f'checkpoint; if you trust it, name an option file that says so, by --{role}-opt'
            )
    return section


def _described(
    where: str, section: Mapping[str, Any], role: str, path: Path, weights: Mapping[str, Tensor]
) -> nn.Module:
    """The network of an option section, with the weights."""
    if not isinstance(section, Mapping) or 'type' not in section:
        raise UserError(f'{where}: must be a section with a type, as {{type: MIMOUNet}}')
    kind = registered(ARCH_REGISTRY, where, section['type'])
    arguments = {key: value for key, value in section.items() if key != 'type'}
    if getattr(kind, 'carries_weights', False):  # its path was that of the weights training began with
        arguments['path'] = str(path)
    net: nn.Module = construct(kind, where, arguments)
    check_fit(role, str(path), net, weights)
    net.load_state_dict(weights)
    return net


def _recognised(role: str, path: Path, weights: Mapping[str, Tensor]) -> nn.Module:
    net = known_network(weights)
    if net is not None:
        net.load_state_dict(weights)
        return net
    try:
        return SpandrelNet(str(path))
    except UserError as error:
        why = str(error).partition(';')[0].removeprefix('path: ')
        raise UserError(
            f'{role}: nothing tells what network {str(path)!r} holds: it has no section `network`, its keys and shapes '
            f'are not those of {KNOWN}, and {why}; name an option file that describes it, by --{role}-opt '
            f'({role}_opt in Python)'
        ) from error
