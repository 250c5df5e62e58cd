"""What is wrong with an option file of ours, found before anything is created on disk."""

from __future__ import annotations

import argparse
import difflib
import inspect
import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY
from torch import nn
from tqdm import tqdm

from b2b_basicsr.checks.late_errors import end_late_errors_in_one_line
from b2b_basicsr.compat.option_checks import register_option_check
from b2b_basicsr.data.lmdb_clients import close_lmdb_clients
from b2b_basicsr.data.picture_source import PictureSource, matched_pairs
from b2b_basicsr.data.unpaired_blur_dataset import UnpairedBlurDataset
from b2b_basicsr.errors import UserError
from b2b_basicsr.losses.vgg_weights import vgg_features
from b2b_basicsr.models.blur2blur_options import (
    LoggerOptions,
    PathOptions,
    TrainOptions,
    ValOptions,
    frozen_sections,
)
from b2b_basicsr.models.checkpoint import check_fit, read_state_dict
from b2b_basicsr.models.scores import Scores

_MODEL = 'Blur2BlurModel'
_VALIDATION_SETS = {
    'PairedImageDataset': ('dataroot_lq', 'dataroot_gt'),
    'PairedFolderDataset': ('dataroot_lq', 'dataroot_gt'),
    'SingleImageDataset': ('dataroot_lq',),
}
_SCHEDULERS = ('LinearDecayLR', 'MultiStepLR', 'MultiStepRestartLR', 'CosineAnnealingRestartLR')


@register_option_check
def check_options(opt: dict[str, Any], args: argparse.Namespace) -> None:
    """Checks device, data, networks, weights, losses and metrics of a parsed option file.

    Raises:
        UserError: for the first thing that the user has to mend.
    """
    end_late_errors_in_one_line()
    _check_device(opt)
    if opt.get('model_type') == _MODEL:
        _check_sections(opt)
        _check_networks(opt)
    try:
        for phase, section in opt['datasets'].items():
            _check_dataset(phase, section)
    finally:
        close_lmdb_clients()  # BasicSR's own data sets open the same databases


def _check_device(opt: Mapping[str, Any]) -> None:
    wanted, there = opt['num_gpu'], torch.cuda.device_count()
    if not isinstance(wanted, int) or wanted < 0:
        raise UserError(f'num_gpu: {wanted!r}; write 0 for the CPU, a number of GPUs, or auto')
    if wanted > there:
        raise UserError(f'num_gpu: {wanted} asked for, {there} there; set num_gpu: auto, or 0 for the CPU')
    if opt['dist']:
        raise UserError('--launcher: training on several devices is not supported yet; start one process without it')
    if wanted > 1:
        raise UserError(
            f'num_gpu: {wanted} in one process would be DataParallel, which the gradient penalty does not go with; '
            'set num_gpu: 1 and choose the GPU by CUDA_VISIBLE_DEVICES'
        )


def _registered(registry: Any, option_key: str, name: str) -> Any:
    for known in (name, f'{name}_basicsr'):
        if known in registry:
            return registry._obj_map[known]
    near = difflib.get_close_matches(name, [key.removesuffix('_basicsr') for key, _ in registry], n=1)
    raise UserError(f'{option_key}:type: {name!r} is not registered' + (f'; did you mean {near[0]}?' if near else ''))


def _construct(kind: Any, option_key: str, arguments: Mapping[str, Any]) -> Any:
    try:
        inspect.signature(kind).bind(**arguments)
        return kind(**deepcopy(dict(arguments)))
    except UserError as error:
        raise UserError(f'{option_key}: {error}') from None
    except (TypeError, ValueError, NotImplementedError, AssertionError, KeyError) as cause:
        raise UserError(f'{option_key}: {kind.__name__}: {" ".join(str(cause).split())}') from cause


# ---------------------------------------------------------------------------------------------------- sections


def _check_sections(opt: dict[str, Any]) -> None:
    PathOptions.from_options('path', opt['path'])
    metrics: Mapping[str, Any] = {}
    if opt.get('val'):
        val = ValOptions.from_options('val', opt['val'])
        # BasicSR's scripts read these two without a default.
        opt['val'].setdefault('val_freq', val.val_freq)
        opt['val'].setdefault('save_img', val.save_img)
        metrics = opt['val'].get('metrics') or {}
        for name, section in metrics.items():
            _registered(METRIC_REGISTRY, f'val:metrics:{name}', section['type'])
        if val.best is not None:
            _check_best(opt, val.best, Scores(metrics).names(bool(opt.get('network_deblur'))))
    if not opt['is_train']:
        if not opt.get('val'):
            raise UserError('val: missing; a test needs it: save_img, metrics or both')
        return
    LoggerOptions.from_options('logger', opt['logger'])
    train = TrainOptions.from_options('train', opt['train'])
    if opt['datasets'].get('train', {}).get('type') != 'UnpairedBlurDataset':
        raise UserError(f'datasets:train: {_MODEL} trains on type: UnpairedBlurDataset')
    for name in ('optim_g', 'optim_d'):
        if getattr(train, name).type != 'Adam':
            raise UserError(f'train:{name}:type: {getattr(train, name).type!r}; BasicSR knows Adam')
    if train.scheduler.type not in _SCHEDULERS:
        raise UserError(
            f'train:scheduler:type: {train.scheduler.type!r} is unknown; known are {", ".join(_SCHEDULERS)}'
        )
    for name in ('perceptual_opt', 'pixel_opt', 'lpips_opt', 'gan_opt'):
        section = opt['train'].get(name)
        if section is not None:
            kind = _registered(LOSS_REGISTRY, f'train:{name}', section['type'])
            arguments = {key: value for key, value in section.items() if key != 'type'}
            if section['type'] != 'PerceptualLoss':
                _construct(kind, f'train:{name}', arguments)
            else:
                # A download, too, happens now: should it fail, nothing has been archived.
                vgg_features(arguments.get('vgg_type', 'vgg19'), train.vgg_weights)


def _check_best(opt: Mapping[str, Any], best: str, names: set[str]) -> None:
    sets = [section.get('name') for phase, section in opt['datasets'].items() if phase.startswith('val')]
    dataset, _, metric = best.rpartition('/')
    if metric not in names:
        raise UserError(f'val:best: {metric!r} is no metric of val:metrics; there are {", ".join(sorted(names))}')
    if opt['is_train'] and not sets:
        raise UserError('val:best: there is no validation set to choose by; add datasets:val')
    if opt['is_train'] and dataset and dataset not in sets:
        raise UserError(f'val:best: no validation set is named {dataset!r}; there are {", ".join(map(str, sets))}')


# ---------------------------------------------------------------------------------------------------- networks


def _check_networks(opt: dict[str, Any]) -> None:
    trained = ['network_g', 'network_d'] if opt['is_train'] else ['network_g']
    frozen = [name for name in frozen_sections(opt) if opt['is_train'] or name != 'network_k']
    for name in trained:
        if not opt.get(name):
            raise UserError(f'{name}: missing; {_MODEL} needs it')
    for name in [*trained, *frozen]:
        section = opt[name]
        if not isinstance(section, Mapping) or 'type' not in section:
            raise UserError(f'{name}: must be a section with a type, as {{type: MIMOUNet}}')
        kind = _registered(ARCH_REGISTRY, name, section['type'])
        with torch.device('meta'):
            net = _construct(kind, name, {key: value for key, value in section.items() if key != 'type'})
        _check_weights(opt, name, net, must=name in frozen or not opt['is_train'])
    if opt['is_train']:
        train = opt['datasets'].get('train', {})
        if train.get('dataroot_known_blur') is not None and 'network_k' not in frozen:
            raise UserError(
                'network_k: missing; it carries the blur of known pairs (dataroot_known_blur, dataroot_known_sharp) '
                'over to S. Or give K ready-made (dataroot_known), or let it be made from S (synth_known_opt)'
            )


def _check_weights(opt: Mapping[str, Any], name: str, net: nn.Module, must: bool) -> None:
    label = name.removeprefix('network_')
    key = f'path:pretrain_{name}'
    path = opt['path'].get(f'pretrain_{name}')
    if path is None:
        if must:
            why = 'it is frozen, and useless untrained' if name in frozen_sections(dict(opt)) else 'a test needs them'
            raise UserError(f'{key}: missing; give the weights of {name} ({why})')
        return
    weights, _ = read_state_dict(key, path, opt['path'].get(f'param_key_{label}', 'params'))
    if opt['path'].get(f'strict_load_{label}', True):
        check_fit(key, path, net, weights)


# ---------------------------------------------------------------------------------------------------- data


def _check_dataset(phase: str, section: dict[str, Any]) -> None:
    key = f'datasets:{phase}'
    kind = _registered(DATASET_REGISTRY, key, section.get('type', ''))
    if kind is UnpairedBlurDataset:
        if phase != 'train':
            raise UserError(f'{key}: UnpairedBlurDataset is for training; use PairedImageDataset or SingleImageDataset')
        UnpairedBlurDataset(deepcopy(dict(section))).check_pictures(_with_bar)
    elif phase != 'train' and section['type'] in _VALIDATION_SETS:
        _check_validation_set(key, section)


def _with_bar(results: Iterator[None], total: int) -> Iterator[None]:
    yield from tqdm(results, total=total, desc='checking pictures', unit='', delay=2, leave=False, file=sys.stderr)


def _check_validation_set(key: str, section: dict[str, Any]) -> None:
    """Folders and pictures of BasicSR's own sets; how they are matched is BasicSR's own."""
    if not section.get('name'):
        raise UserError(f'{key}:name: missing; validation results are logged under it')
    roots = _VALIDATION_SETS[section['type']]
    sources = {}
    for root in roots:
        if not section.get(root):
            raise UserError(f'{key}:{root}: missing; {section["type"]} needs it')
        sources[root] = PictureSource(f'{key}:{root}', section[root], section.get('io_backend', {}))
    listed = section.get('meta_info_file')
    if listed is not None and not Path(listed).is_file():
        raise UserError(f'{key}:meta_info_file: no file {listed!r}')
    if section['type'] == 'PairedFolderDataset':
        matched_pairs(sources['dataroot_lq'], sources['dataroot_gt'])
    elif listed is None and section['io_backend']['type'] == 'disk':
        _check_one_folder(key, section, sources)
    for source in sources.values():
        for index in range(len(source)):
            source.size(index)
    if len(sources) == 2 and section.setdefault('scale', 1) != 1:
        raise UserError(f'scale: {section["scale"]}; blurry and sharp pictures are of one size: set scale: 1')


def _check_one_folder(key: str, section: Mapping[str, Any], sources: Mapping[str, PictureSource]) -> None:
    """BasicSR looks into one folder, pairs by base name, and dies on an assertion where a picture is alone."""
    for source in sources.values():
        nested = [name for name in source.names if '/' in name]
        if nested:
            mend = 'use type: PairedFolderDataset' if len(sources) == 2 else 'list the pictures in a meta_info_file'
            raise UserError(
                f'{source.option_key}: {nested[0]} lies in a subfolder, which {section["type"]} does not see; {mend}'
            )
    if len(sources) < 2:
        return
    lq, gt = sources['dataroot_lq'], sources['dataroot_gt']
    template = section.get('filename_tmpl', '{}')
    wanted = {f'{template.format(Path(name).stem)}{Path(name).suffix}' for name in gt.names}
    for alone, source, where in ((set(lq.names) - wanted, lq, gt), (wanted - set(lq.names), gt, lq)):
        if alone:
            raise UserError(
                f'{source.option_key}: {min(alone)} has no twin of that name in {where.option_key} ({len(alone)} of '
                f'{len(source)} have none); type: PairedFolderDataset pairs without extension'
            )
