"""Parameters and multiply-adds of the networks of an option file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from b2b_basicsr.archs.kernel_wizard_arch import KernelWizard
from b2b_basicsr.bench.timing_table import Table, Value
from b2b_basicsr.checks.network_check import build_without_numbers
from b2b_basicsr.errors import UserError
from b2b_basicsr.info.multiply_adds import multiply_adds
from b2b_basicsr.info.option_sections import section_at
from b2b_basicsr.models.blur2blur_options import frozen_sections
from b2b_basicsr.models.output_scales import as_scales

Size = tuple[int, int]
"""Height and width in pixels."""

_BLUR2BLUR = 'Blur2BlurModel'
_CHANNELS = ('num_in_ch', 'img_channel', 'inp_channels', 'in_chans')
"""What networks of BasicSR and ours call the channels of a picture."""


def network_sections(opt: Mapping[str, Any]) -> list[str]:
    """The ``network_*`` sections that are not empty, in the file's order.

    Raises:
        UserError: if there is none.
    """
    names = [str(name) for name, section in opt.items() if str(name).startswith('network_') and section]
    if not names:
        raise UserError('network_g: missing; the option file has no network_* section')
    return names


def network_tables(opt: Mapping[str, Any], picture: Size) -> list[Table]:
    """Parameters and multiply-adds of every network.

    Args:
        opt: as YAML gives it; of a training or a test.
        picture: size of the pictures that are restored.

    Returns:
        For a training, each network on what a sample of the batch is to it: the crop; ``network_k`` its three pictures;
        ``network_d`` of ``Blur2BlurModel`` each of G's outputs. And what restores, on a whole picture.

    Raises:
        UserError: if a network cannot be built, or cannot take its input.
    """
    nets = {name: build_without_numbers(opt, name) for name in network_sections(opt)}
    tables = []
    if 'train' in opt:
        crop = crop_size(opt)
        rows = [_row(opt, nets, name, (crop, crop)) | {'use': _use(opt, name)} for name in nets]
        tables.append(Table(f'Networks, on one sample of a training batch ({crop} x {crop} pixels)', rows))
    restoring = [name for name in ('network_g', 'network_deblur') if name in nets and not _makes_blur(nets[name])]
    if restoring or 'train' not in opt:
        rows = [_row(opt, nets, name, picture) for name in restoring or nets]
        tables.append(Table(f'Networks, on a picture of {picture[0]} x {picture[1]} pixels, whole', rows))
    return tables


def crop_size(opt: Mapping[str, Any]) -> int:
    """Side of the pictures that networks see in training: ``gt_size`` by ``scale``.

    Raises:
        UserError: if the option file does not say it.
    """
    crop: Any = section_at(opt, 'datasets:train').get('gt_size')
    scale: Any = opt.get('scale', 1)
    for key, value in (('datasets:train:gt_size', crop), ('scale', scale)):
        if type(value) is not int or value < 1:
            raise UserError(f'{key}: {value!r}; must be a whole number from 1 up')
    side: int = crop // scale
    return side


def _row(opt: Mapping[str, Any], nets: Mapping[str, nn.Module], name: str, size: Size) -> dict[str, Value]:
    run, inputs = _pass(opt, nets, name, size)
    counted = _counted(name, nets[name], run, inputs)
    return {
        'network': name,
        'type': str(opt[name]['type']),
        'parameters (M)': sum(parameter.numel() for parameter in nets[name].parameters()) / 1e6,
        'input': _sizes(inputs),
        'multiply-adds (G)': None if counted is None else counted / 1e9,
    }


def _use(opt: Mapping[str, Any], name: str) -> str:
    if opt.get('model_type') != _BLUR2BLUR or name not in ('network_k', 'network_deblur'):
        return 'trained'
    if name not in frozen_sections(dict(opt)):
        return 'not used'
    return 'frozen, every step' if name == 'network_k' else 'frozen, validation'


def _makes_blur(net: nn.Module) -> bool:
    return hasattr(net, 'transfer')


def _picture(opt: Mapping[str, Any], name: str, size: Size) -> Tensor:
    channels = next((opt[name][key] for key in _CHANNELS if key in opt[name]), 3)
    return torch.empty(1, channels, *size, device='meta')


def _pass(
    opt: Mapping[str, Any], nets: Mapping[str, nn.Module], name: str, size: Size
) -> tuple[Callable[[], Any], Sequence[Tensor]]:
    """One pass of a network, and what goes in."""
    net, picture = nets[name], _picture(opt, name, size)
    if name == 'network_g' and isinstance(net, KernelWizard):
        return lambda: net.reblur(picture, picture), [picture] * 2
    if _makes_blur(net):
        return lambda: net(picture, picture, picture), [picture] * 3
    if name == 'network_d' and opt.get('model_type') == _BLUR2BLUR and 'network_g' in nets:
        outputs = _outputs(nets['network_g'], _picture(opt, 'network_g', size))
        return lambda: [net(output) for output in outputs], outputs
    return lambda: net(picture), [picture]


def _outputs(net_g: nn.Module, picture: Tensor) -> list[Tensor]:
    """G's, of every scale; the picture itself where torch cannot run G without numbers."""
    try:
        with torch.no_grad():
            return as_scales(net_g.eval()(picture))
    except NotImplementedError:
        return [picture]


def _counted(name: str, net: nn.Module, run: Callable[[], Any], inputs: Sequence[Tensor]) -> int | None:
    net.eval()
    try:
        return multiply_adds(run)
    except (UserError, RuntimeError, AssertionError, ValueError, TypeError) as cause:
        raise UserError(
            f'{name}: {type(net).__name__} cannot take {_sizes(inputs)}: {" ".join(str(cause).split())[:200]}'
        ) from cause


def _sizes(inputs: Sequence[Tensor]) -> str:
    """``3x256x256``, ``3 of 3x256x256``, or each, where they differ."""
    sizes = ['x'.join(str(number) for number in one.shape[1:]) for one in inputs]
    if len(set(sizes)) == 1:
        return sizes[0] if len(sizes) == 1 else f'{len(sizes)} of {sizes[0]}'
    return ', '.join(sizes)
