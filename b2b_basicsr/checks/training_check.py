"""Losses, optimisers, schedules and logging of an option file."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from basicsr.models.lr_scheduler import CosineAnnealingRestartLR, MultiStepRestartLR
from basicsr.utils.registry import LOSS_REGISTRY
from torch import nn

from b2b_basicsr.checks.registered import construct, registered
from b2b_basicsr.errors import UserError
from b2b_basicsr.losses.vgg_weights import vgg_features
from b2b_basicsr.models.compilation import missing_for_compile
from b2b_basicsr.models.lr_scheduler import SCHEDULERS
from b2b_basicsr.models.optimizers import OPTIMIZERS, optimizer_options

_SCHEDULERS = {
    **SCHEDULERS,
    'MultiStepLR': MultiStepRestartLR,
    'MultiStepRestartLR': MultiStepRestartLR,
    'CosineAnnealingRestartLR': CosineAnnealingRestartLR,
}


def check_logger(opt: Mapping[str, Any]) -> None:
    """Checks ``logger``.

    Raises:
        UserError: if W&B is asked for and not installed.
    """
    if (opt['logger'].get('wandb') or {}).get('project') is not None and importlib.util.find_spec('wandb') is None:
        raise UserError('logger:wandb:project: wandb is not installed; pip install wandb, or set it to ~')


def check_optimisation(opt: Mapping[str, Any], optimizers: Sequence[str]) -> None:
    """Builds optimisers and schedules over nothing.

    Args:
        opt: the parsed option file.
        optimizers: ``train``'s sections of them.

    Raises:
        UserError: if one cannot be built, or nothing is there to compile with.
    """
    if opt['train'].get('compile'):
        missing = missing_for_compile('cpu' if opt['num_gpu'] == 0 else 'cuda')
        if missing is not None:
            raise UserError(f'train:compile: torch.compile finds no {missing}; install it, or set compile to false')
    optimizer = None
    for name in optimizers:
        section = dict(opt['train'][name])
        kind = section.pop('type')
        parameters = [nn.Parameter(torch.zeros(1))]
        optimizer = construct(OPTIMIZERS[kind], f'train:{name}', {'params': parameters, **optimizer_options(section)})
    section = dict(opt['train']['scheduler'])
    name = section.pop('type')
    scheduler = _SCHEDULERS[name]
    if name in SCHEDULERS:
        section['total_iter'] = int(opt['train']['total_iter'])
    construct(scheduler, 'train:scheduler', {'optimizer': optimizer, **section})


def check_loss(opt: Mapping[str, Any], name: str) -> None:
    """Builds one of ``train``'s losses, if it is there.

    Raises:
        UserError: if it is not registered, its keys are wrong, its weights are missing, or it is in another's place.
    """
    section = opt['train'].get(name)
    if section is None:
        return
    kind = registered(LOSS_REGISTRY, f'train:{name}', section['type'])
    arguments = {key: value for key, value in section.items() if key != 'type'}
    if section['type'] == 'PerceptualLoss':
        # A download, too, happens now: should it fail, nothing has been archived.
        vgg_type = arguments.get('vgg_type', 'vgg19')
        vgg_features(vgg_type, opt['train'].get('vgg_weights'), f'train:{name}:vgg_type')
        return
    loss = construct(kind, f'train:{name}', arguments)
    if hasattr(loss, 'gan_type') != (name == 'gan_opt'):
        raise UserError(f'train:{name}:type: {section["type"]} is no {"GAN" if name == "gan_opt" else "content"} loss')


def check_sides(opt: Mapping[str, Any], name: str, sides: Sequence[int]) -> None:
    """Compares the translator's outputs with what one of ``train``'s losses can see, if it says so.

    Args:
        opt: the parsed option file; the loss is known to be right otherwise.
        name: of the loss's section.
        sides: the shorter side of each output.

    Raises:
        UserError: if an output is too small.
    """
    section = opt['train'].get(name)
    if section is None or not sides:
        return
    kind = registered(LOSS_REGISTRY, f'train:{name}', section['type'])
    if hasattr(kind, 'smallest_side'):
        needed = kind.smallest_side(**{key: value for key, value in section.items() if key != 'type'})
        if min(sides) < needed:
            raise UserError(
                f'train:{name}: {section["type"]} needs pictures of {needed} pixels at least, and the smallest that '
                f'network_g makes of gt_size has {min(sides)}; take a larger gt_size'
            )
