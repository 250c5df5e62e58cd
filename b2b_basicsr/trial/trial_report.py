"""What a trial found, as tables."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from b2b_basicsr.bench.timing_table import Table, Value
from b2b_basicsr.data.random_crop import Size
from b2b_basicsr.models.checkpoint import read_state_dict
from b2b_basicsr.models.frozen_network import has_weights_of_its_own
from b2b_basicsr.printable import printable
from b2b_basicsr.trial.picture_census import CountedSet
from b2b_basicsr.trial.trial_checkpoint import TriedCheckpoint
from b2b_basicsr.trial.trial_run import Trial
from b2b_basicsr.trial.trial_step import TriedSteps
from b2b_basicsr.trial.trial_validation import TriedValidation

_HOUR, _DAY = 3600.0, 86400.0
_SSIM_WINDOW = 11  # pixels, of BasicSR's calculate_ssim
_MIB, _GIB = 2.0**20, 2.0**30
_BLURRY = 'datasets:train:dataroot_blur'


def trial_tables(trial: Trial) -> list[Table]:
    """All tables, those of the training where it is one; what is to be warned of is the last one, if there is any."""
    tables = [_pictures(trial), _networks(trial)]
    if trial.stages:
        tables.append(_steps(trial))
    if trial.validations:
        tables.append(_validations(trial))
    if trial.stages:
        tables.append(_time(trial))
    if isinstance(trial.checkpoint, TriedCheckpoint):
        tables.append(_disk(trial, trial.checkpoint))
    warnings: list[dict[str, Value]] = [{'warning': text} for text in warnings_of(trial)]
    return [*tables, Table('Warnings', warnings)] if warnings else tables


def warnings_of(trial: Trial) -> list[str]:
    """What may be a mistake, or will be one later; a line each."""
    found = [
        f'datasets:{phase}: its pictures were not opened: {trial.opt["datasets"][phase]["type"]} is not known here'
        for phase, sets in trial.counted.items()
        if not sets
    ]
    found += [f'{name}: all its gradients are zero in the trial: it learns nothing' for name in trial.without_gradients]
    found += _scores_that_are_none(trial)
    if not trial.stages:
        return found
    total = trial.opt['train']['total_iter']
    bound, measured = _seconds_of_data(trial), max(tried.mean for tried in trial.stages)
    if bound > measured:
        found.append(
            f'datasets:train: {trial.workers} workers on {_cores()} cores make a batch in about {bound:.3g} s, a step '
            f'takes {measured:.3g} s: the training will wait for data (docs/performance.md)'
        )
    saves = trial.opt['logger']['save_checkpoint_freq']
    if trial.times_left(saves) == 0:
        found.append(
            f'logger:save_checkpoint_freq: {saves} is not reached by total_iter, {total}: if the training is killed, '
            'nothing is left'
        )
    if trial.validations and trial.times_left(trial.opt['val']['val_freq']) == 0:
        found.append(
            f'val:val_freq: {trial.opt["val"]["val_freq"]} is not reached by total_iter, {total}: there is one '
            'validation, at the end'
        )
    if isinstance(trial.checkpoint, str):
        found.append(trial.checkpoint)
    elif trial.checkpoint is not None:
        needed = trial.checkpoint.all_bytes + _bytes_of_pictures(trial)
        if needed > trial.free:
            found.append(
                f'disk: about {needed / _GIB:.1f} GiB will be written to {trial.folder}, where {trial.free / _GIB:.1f} '
                'GiB are free; set logger:keep_checkpoints, raise save_checkpoint_freq, or make room'
            )
    return found


def _scores_that_are_none(trial: Trial) -> Iterator[str]:
    """Of the pictures that were tried, and of smaller ones, of which too little is left to be scored."""
    for tried in trial.validations:
        for metric, value in tried.scores.items():
            if math.isnan(value):
                yield (
                    f'val:metrics: {metric} of {tried.name} is nan (no number) for {printable(tried.picture)}: take '
                    'the metric or the picture out, or lower its crop_border'
                )
    val = trial.opt.get('val') or {}
    for phase, sets in trial.counted.items():
        if phase == 'train' or not sets:
            continue
        side = min(min(size) for counted in sets for size in counted.sizes)
        for name, section in (val.get('metrics') or {}).items():
            border = section.get('crop_border') or 0
            left = min(side, val.get('crop') or side) - 2 * border
            needed = _SSIM_WINDOW if section.get('type') == 'calculate_ssim' else 1
            if left < needed:
                yield (
                    f'val:metrics:{name}: crop_border {border} leaves {max(left, 0)} pixels of the shortest side in '
                    f'datasets:{phase}, {side}; it needs {needed}, or the score is nan (no number)'
                )


# -------------------------------------------------------------------------------------------------------- what is there


def _pictures(trial: Trial) -> Table:
    every = [counted for sets in trial.counted.values() for counted in sets]
    blurry = next((counted for counted in every if counted.option_key == _BLURRY), None)
    return Table('Pictures: each was opened and decoded', [_row_of_pictures(counted, blurry) for counted in every])


def _row_of_pictures(counted: CountedSet, blurry: CountedSet | None) -> dict[str, Value]:
    row: dict[str, Value] = {
        'set': counted.option_key.removeprefix('datasets:'),
        'folder': printable(counted.root),
        'pictures': len(counted.names),
        'smallest': _measures(counted.smallest),
        'largest': _measures(counted.largest),
        'files': ', '.join(f'{kind} {number}' for kind, number in counted.kinds.items()),
        'top folders': counted.folders or None,
    }
    if blurry is not None:
        beside = counted.option_key.startswith('datasets:train:') and counted is not blurry
        row['names in B, too'] = counted.names_shared_with(blurry) if beside else None
    return row


def _measures(size: Size) -> str:
    return f'{size[0]}x{size[1]}'


def _networks(trial: Trial) -> Table:
    rows = [
        _row_of_network(trial, name) for name, section in trial.opt.items() if name.startswith('network_') and section
    ]
    for name, key in (('cri_perceptual', 'perceptual_opt'), ('cri_idt', 'identity_opt')):
        loss = getattr(trial.model, name, None)
        section = (trial.opt.get('train') or {}).get(key) or {}
        if isinstance(loss, nn.Module) and section.get('type') == 'PerceptualLoss':
            rows.append(
                {
                    'network': key,
                    'type': str(section.get('vgg_type', 'vgg19')),
                    'parameters (M)': _millions(loss),
                    'use': 'frozen',
                    'weights': str(trial.opt['train'].get('vgg_weights') or "torch's folder"),
                }
            )
    return Table('Networks and their weights', rows)


def _row_of_network(trial: Trial, name: str) -> dict[str, Value]:
    label = name.removeprefix('network_')
    net: nn.Module | None = getattr(trial.model, f'net_{label}', None)
    row: dict[str, Value] = {'network': name, 'type': str(trial.opt[name]['type'])}
    if net is None:
        return row | {'use': 'not used'}
    trained = trial.opt['is_train'] and name not in trial.model.frozen_networks
    row |= {'parameters (M)': _millions(net), 'use': 'trained' if trained else 'frozen'}
    path = trial.opt['path'].get(f'pretrain_{name}')
    if path is None:
        return row | {'weights': 'its own' if has_weights_of_its_own(net) else 'untrained'}
    key = trial.opt['path'].get(f'param_key_{label}', 'params')
    _, part = read_state_dict(f'path:pretrain_{name}', path, key)
    return row | {'weights': str(path), 'key': part}


def _millions(net: nn.Module) -> float:
    return sum(parameter.numel() for parameter in net.parameters()) / 1e6


# ---------------------------------------------------------------------------------------------------- what was measured


def _steps(trial: Trial) -> Table:
    timed = max(len(tried.seconds) for tried in trial.stages)
    what = 'the second one' if timed == 1 else f'the mean of the {timed} behind it'
    workers = f', without its {trial.workers} workers' if trial.workers else ''
    rows = [_row_of_steps(trial, tried) for tried in trial.stages]
    return Table(f'Steps: the first one, and {what}; memory of this process{workers}', rows)


def _row_of_steps(trial: Trial, tried: TriedSteps) -> dict[str, Value]:
    row: dict[str, Value] = {'stage': tried.stage.name} if tried.stage.name else {}
    return row | {
        'device': _device(trial.model.device),
        'precision': _precision(trial.opt['train']),
        'batch': int(trial.opt['datasets']['train']['batch_size_per_gpu']),
        'first step (s)': tried.first,
        'a step (s)': tried.mean,
        'waits for data (s)': tried.mean_wait,
        'memory (GiB)': None if tried.peak_bytes is None else tried.peak_bytes / _GIB,
    }


def _device(device: torch.device) -> str:
    if device.type == 'cuda':
        return f'{device} ({torch.cuda.get_device_name(device)})'
    return f'{device} ({torch.get_num_threads()} threads)'


def _precision(train_opt: Mapping[str, Any]) -> str:
    named = [str(train_opt.get('amp') or 'fp32')]
    return ', '.join([*named, *(key for key in ('channels_last', 'compile') if train_opt.get(key))])


def _validations(trial: Trial) -> Table:
    rows = [_row_of_validation(tried) for tried in trial.validations]
    return Table("Validation of each set's largest picture, done twice where that is quick", rows)


def _row_of_validation(tried: TriedValidation) -> dict[str, Value]:
    return {
        'set': tried.name,
        'picture': printable(tried.picture),
        'size': None if tried.size is None else _measures(tried.size),
        'scores': ', '.join(f'{metric} {value:.4g}' for metric, value in tried.scores.items()) or None,
        'timed': 'second time' if tried.again else 'first time',
        'seconds': tried.seconds,
        'memory (GiB)': None if tried.peak_bytes is None else tried.peak_bytes / _GIB,
        'pictures': tried.pictures,
        'whole set, about (s)': tried.of_set,
    }


# ----------------------------------------------------------------------------------------------------- what it comes to


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def _seconds_of_data(trial: Trial) -> float:
    """In which the workers make a batch, if they have the cores to themselves; 0 where they are none."""
    if trial.batch_seconds is None:
        return 0.0
    return trial.batch_seconds / min(trial.workers, _cores())


def _times_of_validation(trial: Trial) -> int:
    """BasicSR validates once more behind the last iteration."""
    return trial.times_left(trial.opt['val']['val_freq']) + 1 if trial.validations else 0


def _time(trial: Trial) -> Table:
    left = sum(tried.stage.iterations for tried in trial.stages)
    stepping = sum(tried.stage.iterations * max(tried.mean, _seconds_of_data(trial)) for tried in trial.stages)
    parts = [('steps', left, stepping)]
    if trial.validations:
        validations = _times_of_validation(trial)
        parts.append(('validations', validations, validations * sum(tried.of_set for tried in trial.validations)))
    if isinstance(trial.checkpoint, TriedCheckpoint):
        parts.append(('checkpoints', trial.checkpoint.times, trial.checkpoint.times * trial.checkpoint.seconds))
    rows: list[dict[str, Value]] = [
        {
            'what': what,
            'times': times,
            'each (s)': seconds / times if times else None,
            'hours': seconds / _HOUR,
            'days': seconds / _DAY,
        }
        for what, times, seconds in parts
    ]
    whole = sum(seconds for _, _, seconds in parts)
    rows.append({'what': 'all', 'hours': whole / _HOUR, 'days': whole / _DAY})
    total, batches = int(trial.opt['train']['total_iter']), trial.batches_per_epoch
    behind = f' from iteration {trial.done} on' if trial.done else ''
    passes = left / batches
    epochs = f'{passes:,.0f} epochs' if passes >= 100 else f'{passes:.3g} epochs'
    return Table(f'Time to total_iter {total}{behind} ({epochs} of {batches} batches), about', rows)


def _bytes_of_pictures(trial: Trial) -> float:
    if not trial.validations or not trial.opt['val'].get('save_img'):
        return 0.0
    at_once = sum(tried.saved_bytes * tried.of_set / tried.seconds for tried in trial.validations)
    return at_once * _times_of_validation(trial)


def _disk(trial: Trial, checkpoint: TriedCheckpoint) -> Table:
    parts: list[tuple[str, int, float]] = [
        ('networks of an iteration', checkpoint.kept, checkpoint.network_bytes),
        ('state of an iteration', checkpoint.kept, checkpoint.state_bytes),
        ('networks at the end', 1, checkpoint.network_bytes),
    ]
    if checkpoint.best_bytes:
        parts.append(('net_g_best', 1, checkpoint.best_bytes))
    pictures, validations = _bytes_of_pictures(trial), _times_of_validation(trial)
    if pictures:
        parts.append(('pictures of a validation, about', validations, pictures / validations))
    rows: list[dict[str, Value]] = [
        {'what': what, 'times': times, 'each (MiB)': each / _MIB, 'all (GiB)': times * each / _GIB}
        for what, times, each in parts
    ]
    rows.append({'what': 'all', 'all (GiB)': sum(times * each for _, times, each in parts) / _GIB})
    rows.append({'what': 'free there', 'all (GiB)': trial.free / _GIB})
    return Table(f'Disk, below {trial.folder}', rows)
