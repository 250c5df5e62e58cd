"""The sections of an option file against their types, before BasicSR's parser reads it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY

from b2b_basicsr.checks.dataset_keys import keys_read_by
from b2b_basicsr.checks.registered import near_miss, registered
from b2b_basicsr.checks.section_types import (
    PICTURES,
    dataset_section,
    loss_section,
    metric_section,
    network_section,
)
from b2b_basicsr.data.loader_options import LoaderOptions
from b2b_basicsr.errors import OptionError
from b2b_basicsr.models.option_files import OPTION_FILES
from b2b_basicsr.options.constructor_section import constructor_keys
from b2b_basicsr.options.notes import note
from b2b_basicsr.options.section import OptionSection, joined, no_section, number_in_text, shown, unknown_key
from b2b_basicsr.registration import is_our_object, is_ours

_NOT_KEYS_OF_A_FILE = ('dist', 'rank', 'world_size', 'auto_resume', 'is_train', 'root_path')
"""What BasicSR adds at the top level."""
_SET_BY_BASICSR = 'BasicSR sets it itself; it is passed over.'


def check_sections(opt: Mapping[str, Any], is_train: bool) -> None:
    """Checks keys and values of every section that is ours; of others, for near misses of keys that are known.

    What nobody knows in the others' sections is noted for the log.

    Args:
        opt: as the option file says, and ``--force_yml``.
        is_train: whether for a training; a test does not read ``train`` and ``logger``.

    Raises:
        OptionError: for the first thing that the user has to mend.
    """
    ours = is_ours(MODEL_REGISTRY, opt.get('model_type'))
    file = OPTION_FILES.get(opt['model_type']) if ours else None
    read = dict(opt) if is_train else {key: value for key, value in opt.items() if key not in ('train', 'logger')}
    datasets = read.get('datasets')
    if file is not None:
        _check_top_level(opt, file)
        _check_phases(datasets, is_train)
        file.from_options('', read)
        _check_ignored_networks(read)
    for phase, section in datasets.items() if isinstance(datasets, Mapping) else ():
        _check_dataset(phase, section, ours)
    for key, section in read.items():
        if key.startswith('network_') and section is not None:
            _check_typed(key, section, ARCH_REGISTRY, ours)
    train = read.get('train')
    for key, section in train.items() if isinstance(train, Mapping) else ():
        if isinstance(section, Mapping) and isinstance(section.get('type'), str) and key.endswith('_opt'):
            _check_typed(f'train:{key}', section, LOSS_REGISTRY, ours)
    metrics = val.get('metrics') if isinstance(val := read.get('val'), Mapping) else None
    for name, section in metrics.items() if isinstance(metrics, Mapping) else ():
        _check_typed(joined('val:metrics', name), section, METRIC_REGISTRY, ours)


def _check_top_level(opt: Mapping[str, Any], file: type[OptionSection]) -> None:
    known = file.model_fields
    for key in opt:
        if key in known:
            continue
        if key in _NOT_KEYS_OF_A_FILE:
            note(f'Option {key}: {_SET_BY_BASICSR}')
            continue
        if near_miss(key, known):
            raise unknown_key('', key, known)
        note(f'Option {key}: nobody reads it; it is passed over.')


def _check_phases(datasets: Any, is_train: bool) -> None:
    """BasicSR's scripts die of names that they do not expect, and of a training without a training set."""
    if not isinstance(datasets, Mapping):
        raise no_section('datasets', datasets)
    allowed = ('val',) if is_train else ('val', 'test')
    for phase in datasets:
        if phase != 'train' and phase.split('_')[0] not in allowed:
            named = 'train, val, val_2' if is_train else 'test_1, test_2'
            raise OptionError(joined('datasets', phase), f'sections are named {named} and so on')
    if is_train and 'train' not in datasets:
        raise OptionError('datasets:train', 'missing')


def _check_dataset(phase: str, section: Any, ours: bool) -> None:
    key = joined('datasets', phase)
    if not isinstance(section, Mapping):
        raise no_section(key, section)
    name = section.get('type')
    if not ours and not (isinstance(name, str) and name in DATASET_REGISTRY):
        return
    kind = registered(DATASET_REGISTRY, key, name)
    typed = dataset_section(kind, phase)
    if is_our_object(kind) and typed is None:
        other = 'PairedFolderDataset or SingleFolderDataset' if phase != 'train' else 'UnpairedBlurDataset'
        raise OptionError(f'{key}:type', f'{kind.__name__} is not for {phase}; use {other}')
    if typed is not None and (ours or is_our_object(kind)):
        typed.from_options(key, section)
        _check_set_by_basicsr(phase, section, typed, ours)
    if ours and section.get('color') == 'y':
        raise OptionError(f'{key}:color', 'our models take three channels: leave it out')
    if ours and not is_our_object(kind):
        _check_read_keys(key, section, kind)


def _check_read_keys(key: str, section: Mapping[str, Any], kind: type[Any]) -> None:
    read = keys_read_by(kind)
    known = {*read.keys, *LoaderOptions.model_fields, 'name', 'type'}
    for name in section:
        if name in known:
            continue
        if not read.are_all:
            note(f'Option {key}:{name}: {section["type"]} may not read it, and pass it over.')
            continue
        if near_miss(name, known):
            raise unknown_key(key, name, known)
        note(f'Option {key}:{name}: {section["type"]} does not read it; it is passed over.')


def _check_set_by_basicsr(phase: str, section: Mapping[str, Any], typed: type[OptionSection], ours: bool) -> None:
    """Keys that BasicSR writes into a section, whatever stands there."""
    key = joined('datasets', phase)
    scale = section.get('scale', 1)
    if scale != 1 and (ours or 'dataroot_gt' in typed.model_fields):
        raise OptionError(f'{key}:scale', f'{shown(scale)}: blurry and sharp pictures are of one size: leave it out')
    if section.get('phase', phase.split('_')[0]) != phase.split('_')[0]:
        note(f'Option {key}:phase: {_SET_BY_BASICSR}')
    backend: Any = section['io_backend']
    for name in ('client_keys', 'db_paths'):
        if name in backend:
            note(f'Option {key}:io_backend:{name}: {_SET_BY_BASICSR}')


def _check_ignored_networks(opt: Mapping[str, Any]) -> None:
    ignored = opt['path'].get('ignore_resume_networks') or ()
    networks = [key for key in opt if key.startswith('network_')]
    for name in [ignored] if isinstance(ignored, str) else ignored:
        if name not in networks:
            raise OptionError(
                'path:ignore_resume_networks', f'{shown(name)} is no network here; there are {", ".join(networks)}'
            )


def _check_typed(key: str, section: Any, registry: Any, ours: bool) -> None:
    """A section whose ``type`` names a class or function, whose arguments its other keys are."""
    if not isinstance(section, Mapping):
        if not ours:
            return
        raise no_section(key, section)
    name = section.get('type')
    if not ours and not (isinstance(name, str) and (name in registry or f'{name}_basicsr' in registry)):
        return
    if 'type' not in section:
        raise OptionError(f'{key}:type', 'missing')
    kind = registered(registry, key, name)
    typed = _type_of(kind, registry)
    if typed is not None and (ours or is_our_object(kind)):
        typed.from_options(key, {**section, 'type': kind.__name__})
    elif ours:
        _check_arguments(key, section, kind, ('better',) if registry is METRIC_REGISTRY else ())


def _type_of(kind: Any, registry: Any) -> type[OptionSection] | None:
    if registry is ARCH_REGISTRY:
        return network_section(kind)
    return loss_section(kind) if registry is LOSS_REGISTRY else metric_section(kind)


def _check_arguments(key: str, section: Mapping[str, Any], kind: Any, others: tuple[str, ...]) -> None:
    """The keys of somebody else's class or function, of which no more is known than its arguments."""
    parameters = inspect.signature(kind).parameters
    known = constructor_keys(kind, PICTURES)
    swallows = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    for name, value in section.items():
        if name in ('type', *others):
            continue
        if name not in known:
            if not swallows:
                raise unknown_key(key, name, known)
            note(f'Option {key}:{name}: {section["type"]} does not know it; it may pass it over.')
            continue
        default = parameters[name].default
        if isinstance(default, int | float) and not isinstance(default, bool) and number_in_text(value):
            raise OptionError(joined(key, name), f'{shown(value)}: must be a number{number_in_text(value)}')
    for name in known:
        if parameters[name].default is inspect.Parameter.empty and name not in section:
            raise OptionError(joined(key, name), f'missing; {section["type"]} needs it')
