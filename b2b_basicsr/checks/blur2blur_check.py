"""What is wrong with an option file of ours, found before anything is created on disk."""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import yaml
from basicsr.models.lr_scheduler import CosineAnnealingRestartLR, MultiStepRestartLR
from basicsr.utils.options import ordered_yaml
from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY
from torch import nn
from tqdm import tqdm

from b2b_basicsr.checks.late_errors import end_late_errors_in_one_line
from b2b_basicsr.compat.option_checks import register_option_check
from b2b_basicsr.data.lmdb_clients import close_lmdb_clients
from b2b_basicsr.data.picture_source import PictureSource, matched_pairs, picture_size
from b2b_basicsr.data.unpaired_blur_dataset import UnpairedBlurDataset
from b2b_basicsr.errors import UserError
from b2b_basicsr.losses.vgg_weights import vgg_features
from b2b_basicsr.models.blur2blur_options import PathOptions, TrainOptions, frozen_sections
from b2b_basicsr.models.checkpoint import check_fit, read_state_dict
from b2b_basicsr.models.lr_scheduler import LinearDecayLR
from b2b_basicsr.models.scores import DIRECT, GAIN, Scores
from b2b_basicsr.models.training_options import LoggerOptions
from b2b_basicsr.models.val_options import ValOptions

_MODEL = 'Blur2BlurModel'
_TOP_LEVEL = (
    *('name', 'model_type', 'scale', 'num_gpu', 'manual_seed', 'datasets', 'path', 'train', 'val', 'logger'),
    *('network_g', 'network_d', 'network_k', 'network_deblur', 'dist_params', 'find_unused_parameters'),
    *('dist', 'rank', 'world_size', 'auto_resume', 'is_train', 'root_path'),
)
_VALIDATION_KEYS = (
    *('name', 'type', 'phase', 'scale', 'dataroot_lq', 'dataroot_gt', 'io_backend', 'meta_info_file', 'filename_tmpl'),
    *('mean', 'std', 'color', 'num_worker_per_gpu', 'batch_size_per_gpu', 'pin_memory', 'prefetch_mode'),
)
_VALIDATION_SETS = {
    'PairedImageDataset': ('dataroot_lq', 'dataroot_gt'),
    'PairedFolderDataset': ('dataroot_lq', 'dataroot_gt'),
    'SingleImageDataset': ('dataroot_lq',),
}
_SCHEDULERS = {
    'LinearDecayLR': LinearDecayLR,
    'MultiStepLR': MultiStepRestartLR,
    'MultiStepRestartLR': MultiStepRestartLR,
    'CosineAnnealingRestartLR': CosineAnnealingRestartLR,
}


@register_option_check
def check_options(opt: dict[str, Any], args: argparse.Namespace) -> None:
    """Checks device, data, networks, weights, losses and metrics of a parsed option file.

    Raises:
        UserError: for the first thing that the user has to mend.
    """
    end_late_errors_in_one_line()
    _check_names(opt)
    _check_device(opt, args)
    if opt.get('model_type') == _MODEL:
        _check_sections(opt)
        _check_networks(opt)
    try:
        for phase, section in opt['datasets'].items():
            _check_dataset(phase, section)
    finally:
        close_lmdb_clients()  # BasicSR's own data sets open the same databases


def _check_names(opt: Mapping[str, Any]) -> None:
    """The names that BasicSR takes as they come: of the experiment, the model, sections and validation sets."""
    if Path(opt['name']).name != opt['name'] or opt['name'] in ('.', '..'):
        raise UserError(f'name: {opt["name"]!r} would leave the folder experiments; use no slashes')
    _registered(MODEL_REGISTRY, 'model_type', opt.get('model_type'))
    if opt['model_type'] == _MODEL:
        _refuse_near_misses('', opt, _TOP_LEVEL)
    names: dict[str, str] = {}
    for phase, section in opt['datasets'].items():
        if phase.split('_')[0] not in ('train', 'val', 'test'):
            raise UserError(f'datasets:{phase}: sections are named train, val, val_2, test_1 and so on')
        if phase != 'train' and section.get('name') in names:
            raise UserError(
                f'datasets:{phase}:name: {section["name"]!r} is the name of {names[section["name"]]}, too; results are '
                'kept under it'
            )
        names[section.get('name')] = f'datasets:{phase}'


def _refuse_near_misses(prefix: str, section: Mapping[str, Any], known: Sequence[str]) -> None:
    """In sections that BasicSR reads, a key that is almost a known one is a mistake; any other is somebody's own."""
    for key in section:
        near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.8)
        if key not in known and near:
            raise UserError(f'{prefix}{key}: unknown key; did you mean {near[0]}?')


def _check_device(opt: dict[str, Any], args: argparse.Namespace) -> None:
    wanted, there = opt['num_gpu'], torch.cuda.device_count()
    if not isinstance(wanted, int) or wanted < 0:
        raise UserError(f'num_gpu: {wanted!r}; write 0 for the CPU, a number of GPUs, or auto')
    if wanted > there:
        raise UserError(f'num_gpu: {wanted} asked for, {there} there; set num_gpu: auto, or 0 for the CPU')
    if opt['dist']:
        raise UserError('--launcher: training on several devices is not supported yet; start one process without it')
    if wanted > 1 and _says_auto(args):
        print(f'num_gpu: auto: one of {there} GPUs, since one process trains on one.', flush=True)
        opt['num_gpu'] = wanted = 1
    if wanted > 1:
        raise UserError(
            f'num_gpu: {wanted} in one process would be DataParallel, which the gradient penalty does not go with; '
            'set num_gpu: 1 and choose the GPU by CUDA_VISIBLE_DEVICES'
        )


def _says_auto(args: argparse.Namespace) -> bool:
    """Whether the number of GPUs is BasicSR's, which puts all there are in the place of ``auto``."""
    forced = [entry.partition('=')[2].strip() for entry in args.force_yml or () if entry.startswith('num_gpu')]
    if forced:
        return forced[-1] == 'auto'
    with open(args.opt, encoding='utf-8') as file:
        given = yaml.load(file, Loader=ordered_yaml()[0])['num_gpu']
    return bool(given == 'auto')


def _registered(registry: Any, option_key: str, name: Any) -> Any:
    if not option_key.endswith('model_type'):
        option_key += ':type'
    if not isinstance(name, str):
        raise UserError(f'{option_key}: {name!r} is no name; give one that is registered')
    for known in (name, f'{name}_basicsr'):
        if known in registry:
            return registry._obj_map[known]
    near = difflib.get_close_matches(name, [key.removesuffix('_basicsr') for key, _ in registry], n=1)
    raise UserError(f'{option_key}: {name!r} is not registered' + (f'; did you mean {near[0]}?' if near else ''))


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
            _check_metric(f'val:metrics:{name}', section)
        if val.best is not None:
            _check_best(opt, val.best, Scores(metrics).names(bool(opt.get('network_deblur'))))
    if not opt['is_train']:
        if not opt.get('val'):
            raise UserError('val: missing; a test needs it: save_img, metrics or both')
        return
    LoggerOptions.from_options('logger', opt['logger'])
    train = TrainOptions.from_options('train', opt['train'])
    if opt['datasets'].get('train', {}).get('type') != 'UnpairedBlurDataset':
        found = opt['datasets'].get('train', {}).get('type')
        raise UserError(f'datasets:train:type: {found!r}; {_MODEL} trains on type: UnpairedBlurDataset')
    for name in ('optim_g', 'optim_d'):
        if getattr(train, name).type != 'Adam':
            raise UserError(f'train:{name}:type: {getattr(train, name).type!r}; BasicSR knows Adam')
    if train.scheduler.type not in _SCHEDULERS:
        raise UserError(
            f'train:scheduler:type: {train.scheduler.type!r} is unknown; known are {", ".join(_SCHEDULERS)}'
        )
    _check_optimisation(opt)
    if (opt['logger'].get('wandb') or {}).get('project') is not None and importlib.util.find_spec('wandb') is None:
        raise UserError('logger:wandb:project: wandb is not installed; pip install wandb, or set it to ~')
    for name in ('perceptual_opt', 'pixel_opt', 'lpips_opt', 'gan_opt'):
        section = opt['train'].get(name)
        if section is not None:
            kind = _registered(LOSS_REGISTRY, f'train:{name}', section['type'])
            arguments = {key: value for key, value in section.items() if key != 'type'}
            if section['type'] != 'PerceptualLoss':
                loss = _construct(kind, f'train:{name}', arguments)
                if hasattr(loss, 'gan_type') != (name == 'gan_opt'):
                    raise UserError(
                        f'train:{name}:type: {section["type"]} is no {"GAN" if name == "gan_opt" else "content"} loss'
                    )
            else:
                # A download, too, happens now: should it fail, nothing has been archived.
                vgg_features(arguments.get('vgg_type', 'vgg19'), train.vgg_weights)


def _check_metric(key: str, section: Mapping[str, Any]) -> None:
    """BasicSR's metrics swallow unknown keys and die of missing ones at the first validation."""
    parameters = inspect.signature(_registered(METRIC_REGISTRY, key, section['type'])).parameters
    known = [name for name, parameter in parameters.items() if parameter.kind is not parameter.VAR_KEYWORD]
    for name in section:
        if name not in (*known, 'type', 'better'):
            raise UserError(f'{key}:{name}: {section["type"]} knows no such key; known are {", ".join(known[2:])}')
    for name in known:
        missing = parameters[name].default is inspect.Parameter.empty and name not in ('img', 'img2', *section)
        if missing:
            raise UserError(f'{key}:{name}: missing; {section["type"]} needs it')


def _metric_parameters(section: Mapping[str, Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(_registered(METRIC_REGISTRY, 'val:metrics', section['type'])).parameters


def _check_optimisation(opt: Mapping[str, Any]) -> None:
    """Builds optimisers and schedules over nothing."""
    optimizer = None
    for name in ('optim_g', 'optim_d'):
        section = {key: value for key, value in opt['train'][name].items() if key != 'type'}
        optimizer = _construct(torch.optim.Adam, f'train:{name}', {'params': [nn.Parameter(torch.zeros(1))], **section})
    section = {key: value for key, value in opt['train']['scheduler'].items() if key != 'type'}
    kind = _SCHEDULERS[opt['train']['scheduler']['type']]
    if kind is LinearDecayLR:
        section['total_iter'] = opt['train']['total_iter']
    _construct(kind, 'train:scheduler', {'optimizer': optimizer, **section})


def _check_best(opt: Mapping[str, Any], best: str, names: set[str]) -> None:
    sets = [section.get('name') for phase, section in opt['datasets'].items() if phase.startswith('val')]
    dataset, _, metric = best.rpartition('/')
    if metric not in names:
        raise UserError(f'val:best: {metric!r} is no metric of val:metrics; there are {", ".join(sorted(names))}')
    if opt['is_train'] and not sets:
        raise UserError('val:best: there is no validation set to choose by; add datasets:val')
    chosen = [s for p, s in opt['datasets'].items() if p.startswith('val') and s.get('name') == (dataset or sets[0])]
    if opt['is_train'] and chosen and 'dataroot_gt' not in chosen[0]:
        entry = metric.removesuffix(DIRECT)
        if entry.startswith(GAIN) or 'img2' in _metric_parameters(opt['val']['metrics'][entry]):
            raise UserError(f'val:best: {metric} needs ground truth, and {chosen[0]["name"]} has no dataroot_gt')
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
        if opt['is_train'] and name in ('network_g', 'network_d'):
            _check_shapes(name, net, opt['datasets']['train'].get('gt_size', 256))
    if opt['is_train']:
        train = opt['datasets'].get('train', {})
        if train.get('dataroot_known_blur') is not None and 'network_k' not in frozen:
            raise UserError(
                'network_k: missing; it carries the blur of known pairs (dataroot_known_blur, dataroot_known_sharp) '
                'over to S. Or give K ready-made (dataroot_known), or let it be made from S (synth_known_opt)'
            )


def _check_shapes(name: str, net: nn.Module, crop: Any) -> None:
    """One pass over a crop without numbers: does the network take it, and give what its place asks for?"""
    if not isinstance(crop, int):
        return  # the data set's own check says what is wrong
    picture = torch.empty(1, 3, crop, crop, device='meta')
    try:
        with torch.no_grad():
            output = net.eval()(picture)
    except NotImplementedError:
        return  # an operation that torch cannot do without numbers
    except (UserError, RuntimeError, AssertionError, ValueError) as cause:
        raise UserError(
            f'{name}: {type(net).__name__} cannot take a crop of gt_size {crop}: {" ".join(str(cause).split())[:200]}'
        ) from cause
    last = output[-1] if isinstance(output, list | tuple) else output
    if name == 'network_g' and last.shape != picture.shape:
        raise UserError(
            f'{name}: {type(net).__name__} makes {list(last.shape)} of {list(picture.shape)}; '
            'a translator keeps the size'
        )
    if name == 'network_d' and last.shape[1] != 1:
        raise UserError(f'{name}: {type(net).__name__} gives {last.shape[1]} channels; a discriminator gives one score')


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
    _refuse_near_misses(f'{key}:', section, _VALIDATION_KEYS)
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
    if section['io_backend']['type'] == 'disk':
        _check_listed(key, {'scale': 1, **section})
    if len(sources) == 2 and section.setdefault('scale', 1) != 1:
        raise UserError(f'scale: {section["scale"]!r}; blurry and sharp pictures are of one size: set scale: 1')


def _check_listed(key: str, section: Mapping[str, Any]) -> None:
    """The files that BasicSR's own set will read, and the sizes of its pairs."""
    paths = DATASET_REGISTRY.get(section['type'])(deepcopy(dict(section))).paths
    if not paths:
        raise UserError(f'{key}:meta_info_file: {section.get("meta_info_file")!r} names no picture')
    for entry in paths:
        files = [entry] if isinstance(entry, str) else [entry['lq_path'], entry['gt_path']]
        sizes = []
        for file in files:
            if not Path(file).is_file():
                raise UserError(
                    f'{key}:meta_info_file: {section.get("meta_info_file")!r} makes for {file}, which is not there'
                )
            sizes.append(picture_size(key, file))
        if sizes[0] != sizes[-1]:
            raise UserError(
                f'{key}: {files[0]} measures {sizes[0][0]}x{sizes[0][1]}, its sharp twin '
                f'{sizes[-1][0]}x{sizes[-1][1]}; pairs must be of one size'
            )


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
