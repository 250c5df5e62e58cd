"""The section ``val``: metrics, and the one that is best."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from basicsr.utils.registry import METRIC_REGISTRY

from b2b_basicsr.checks.registered import registered
from b2b_basicsr.checks.section_types import PICTURES
from b2b_basicsr.errors import OptionError, UserError
from b2b_basicsr.models.scores import Scores
from b2b_basicsr.models.val_options import ValOptions
from b2b_basicsr.records.score_names import Comparison


def check_validation(opt: dict[str, Any], options: type[ValOptions], comparison: Comparison) -> None:
    """Checks ``val``, and sets what BasicSR's scripts read without a default.

    Args:
        opt: the parsed option file.
        options: the model's type of the section.
        comparison: what the model compares its result with.

    Raises:
        UserError: for the first thing that the user has to mend.
    """
    if not opt.get('val'):
        if not opt['is_train']:
            raise UserError('val: missing; a test needs it: save_img, metrics or both')
        return
    val = options.from_options('val', opt['val'])
    opt['val'].setdefault('val_freq', val.val_freq)
    opt['val'].setdefault('save_img', val.save_img)
    metrics = opt['val'].get('metrics') or {}
    for name, section in metrics.items():
        if not name.isprintable() or not name.strip():
            raise OptionError(
                'val:metrics', f'{name!r} stands in logs and tables: give it a name of one printable line'
            )
        _check_metric(f'val:metrics:{name}', section)
    if val.best is not None:
        _check_best(opt, val.best, Scores(metrics, comparison))


def _check_metric(key: str, section: Mapping[str, Any]) -> None:
    """Metrics swallow unknown keys, and die of missing keys and weights at the first validation."""
    metric = registered(METRIC_REGISTRY, key, section['type'])
    parameters = inspect.signature(metric).parameters
    known = [name for name, parameter in parameters.items() if parameter.kind is not parameter.VAR_KEYWORD]
    keys = [name for name in known if name not in PICTURES]
    for name in section:
        if name not in (*keys, 'type', 'better'):
            raise UserError(f'{key}:{name}: {section["type"]} knows no such key; known are {", ".join(keys)}')
    for name in keys:
        missing = parameters[name].default is inspect.Parameter.empty and name not in section
        if missing:
            raise UserError(f'{key}:{name}: missing; {section["type"]} needs it')
    check = getattr(metric, 'check', None)
    if check is not None:
        try:
            check(**{name: value for name, value in section.items() if name not in ('type', 'better')})
        except UserError as error:
            raise UserError(f'{key}: {error}') from None


def _check_best(opt: Mapping[str, Any], best: str, scores: Scores) -> None:
    sets = [section.get('name') for phase, section in opt['datasets'].items() if phase.startswith('val')]
    dataset, _, metric = best.rpartition('/')
    names = scores.names()
    if metric not in names:
        raise UserError(f'val:best: {metric!r} is no metric of val:metrics; there are {", ".join(sorted(names))}')
    if not opt['is_train']:
        return
    if not sets:
        raise UserError('val:best: there is no validation set to choose by; add datasets:val')
    if dataset and dataset not in sets:
        raise UserError(f'val:best: no validation set is named {dataset!r}; there are {", ".join(map(str, sets))}')
    chosen = [s for p, s in opt['datasets'].items() if p.startswith('val') and s.get('name') == (dataset or sets[0])]
    if 'dataroot_gt' not in chosen[0] and scores.needs_gt(metric):
        raise UserError(f'val:best: {metric} needs ground truth, and {chosen[0]["name"]} has no dataroot_gt')
