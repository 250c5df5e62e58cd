"""What a training step is made of: multiply-adds of each network, forward and backward."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from basicsr.archs import build_network
from torch import nn

from b2b_basicsr.bench.timing_table import Table, Value
from b2b_basicsr.checks.registered import construct
from b2b_basicsr.info.network_costs import crop_size
from b2b_basicsr.info.option_sections import section_at
from b2b_basicsr.info.part_counter import PartCounter
from b2b_basicsr.models.blur2blur_model import Blur2BlurModel
from b2b_basicsr.models.blur2blur_options import TrainOptions
from b2b_basicsr.models.deblur_model import DeblurModel
from b2b_basicsr.models.deblur_options import DeblurTrainOptions
from b2b_basicsr.models.kernel_wizard_model import KernelWizardModel
from b2b_basicsr.models.kernel_wizard_options import KernelTrainOptions
from b2b_basicsr.options.section import OptionSection

_MODELS: dict[str, tuple[type[Any], type[OptionSection]]] = {
    'Blur2BlurModel': (Blur2BlurModel, TrainOptions),
    'DeblurModel': (DeblurModel, DeblurTrainOptions),
    'KernelWizardModel': (KernelWizardModel, KernelTrainOptions),
}
_NAMES = {'cri_perceptual': 'perceptual_opt', 'cri_pix': 'pixel_opt', 'cri_gan': 'gan_opt', 'cri_idt': 'identity_opt'}
_OF_NO_COUNT = (
    *('amp', 'compile', 'channels_last', 'fused', 'accum_iter', 'ema_decay', 'progressive_patches'),
    'max_nonfinite_steps',
)
"""Keys of ``train`` that change how a step is computed, or on how much, but not what it is made of."""


def step_table(opt: Mapping[str, Any]) -> Table | None:
    """Every network's share of a training step, on one sample of ``gt_size``.

    A real step of the model runs on torch's meta device, where nothing is computed.

    Args:
        opt: as YAML gives it.

    Returns:
        ``None`` for tests, for models that are not ours, with an ``LPIPSLoss``, whose network is not there without its
        weights, with two kinds of VGG, and where torch cannot do an operation without numbers.

    Raises:
        UserError: if a section of ``train`` is wrong.
    """
    if opt.get('model_type') not in _MODELS or 'train' not in opt:
        return None
    train = section_at(opt, 'train')
    if train.get('lpips_opt') or _losses(train, 'LPIPSLoss') or len(_vgg_types(train)) > 1:
        return None
    crop = crop_size(opt)
    kind, train_options = _MODELS[opt['model_type']]
    train_options.from_options('train', section_at(opt, 'train'))
    try:
        counts = _counted_step(kind, _step_options(opt), crop)
    except NotImplementedError:
        return None
    whole = sum(counts.values())
    parts = dict.fromkeys(part for part, _ in counts)
    rows: list[dict[str, Value]] = [
        {
            'part': part,
            'forward (G)': counts[part, 'forward'] / 1e9,
            'backward (G)': counts[part, 'backward'] / 1e9,
            'share (%)': 100 * (counts[part, 'forward'] + counts[part, 'backward']) / whole,
        }
        for part in parts
    ]
    forward = sum(count for (_, direction), count in counts.items() if direction == 'forward')
    rows.append(
        {'part': 'all', 'forward (G)': forward / 1e9, 'backward (G)': (whole - forward) / 1e9, 'share (%)': 100.0}
    )
    return Table(f'Multiply-adds of a training step, for each sample of {crop} x {crop} pixels', rows)


def _step_options(opt: Mapping[str, Any]) -> dict[str, Any]:
    """An option file as BasicSR's parser gives it, of a training on one device, from no weights, without validation."""
    wanted = deepcopy(dict(opt)) | {'is_train': True, 'dist': False, 'rank': 0, 'world_size': 1, 'num_gpu': 0}
    wanted |= {'val': None, 'network_deblur': None, 'path': {}}
    # One by one, as BasicSR takes keys out of sections, which YAML may have made one.
    wanted['train'] = {key: deepcopy(value) for key, value in opt['train'].items() if key not in _OF_NO_COUNT}
    for name in ('optim_g', 'optim_d'):
        if name in wanted['train']:
            wanted['train'][name]['fused'] = False  # a fused optimiser refuses tensors without numbers in torch 2.4
    return wanted


def _counted_step(kind: type[Any], opt: dict[str, Any], crop: int) -> Counter[tuple[str, str]]:
    steps = int(opt['train'].get('net_d_iters', 1))
    with_g = (int(opt['train'].get('net_d_init_iters', 0)) // steps + 1) * steps
    with TemporaryDirectory() as folder:
        for vgg_type in _vgg_types(opt['train']):
            opt['train']['vgg_weights'] = _weights_of_zero(vgg_type, Path(folder))
        model = construct(_on_meta(kind), 'train', {'opt': opt})
    for optimizer in model.optimizers:
        optimizer.step = lambda *arguments, **named: None  # element by element, and not on every device
        optimizer.defaults['fused'] = True  # of such a one nobody asks at once whether its gradients were finite
    parts = _parts(model)
    picture = torch.empty(1, 3, crop, crop, device='meta')
    names = ['lq', 'gt'] if kind is not Blur2BlurModel else ['lq', 'known']
    if getattr(model, 'net_k', None) is not None:
        names = ['lq', 'sharp', 'known_blur', 'known_sharp']
    counter = PartCounter(parts)
    with counter:
        model.feed_data(dict.fromkeys(names, picture))
        model.optimize_parameters(with_g)
    return counter.counts


def _losses(train: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    """The sections of ``train`` for losses of a ``type``."""
    return [one for one in train.values() if isinstance(one, Mapping) and one.get('type') == kind]


def _vgg_types(train: Mapping[str, Any]) -> set[str]:
    return {str(section.get('vgg_type', 'vgg19')) for section in _losses(train, 'PerceptualLoss')}


def _weights_of_zero(vgg_type: str, folder: Path) -> str:
    """A file of VGG's weights that has the right shapes: the real ones may not be there."""
    from torchvision.models import get_model

    try:
        with torch.device('meta'):
            vgg = get_model(vgg_type, weights=None)
    except ValueError:
        return str(folder)  # the loss's own check says what is wrong with the type
    file = folder / 'vgg.pth'
    # One number, repeated, is what is written of each.
    state = {key: torch.zeros(1, dtype=value.dtype).expand(value.shape) for key, value in vgg.state_dict().items()}
    torch.save(state, file)
    return str(file)


def _on_meta(kind: type[Any]) -> type[Any]:
    """A model whose tensors have no numbers: nothing can be read from them, and no precision be chosen for them."""

    def build_frozen(self: Any, section: str) -> nn.Module:
        net: nn.Module = build_network(deepcopy(self.opt[section]))
        return net.to('meta').eval().requires_grad_(False)

    def autocast(self: Any) -> AbstractContextManager[None]:
        return nullcontext()

    def leave(self: Any, device: torch.device) -> None:
        pass

    return type(
        kind.__name__,
        (kind,),
        {
            'device': property(lambda self: torch.device('meta'), leave),
            '_autocast': autocast,
            '_build_frozen': build_frozen,
            'print_network': lambda self, net: None,
            'reduce_loss_dict': lambda self, losses: losses,
        },
    )


def _parts(model: Any) -> dict[str, nn.Module]:
    parts = {name: part for name, part in vars(model).items() if isinstance(part, nn.Module)}
    return {_NAMES.get(name, name.replace('net_', 'network_')): part for name, part in parts.items()}
