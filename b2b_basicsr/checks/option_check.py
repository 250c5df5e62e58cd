"""What is wrong with an option file of ours, found before anything is created on disk."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from basicsr.utils.registry import MODEL_REGISTRY

from b2b_basicsr.checks import blur2blur_check, deblur_check, kernel_wizard_check
from b2b_basicsr.checks.data_check import check_databases, check_dataset
from b2b_basicsr.checks.device_check import check_device
from b2b_basicsr.checks.late_errors import end_late_errors_in_one_line
from b2b_basicsr.checks.registered import registered
from b2b_basicsr.checks.safe_loading import load_weights_only
from b2b_basicsr.checks.section_check import check_sections
from b2b_basicsr.compat.option_checks import register_option_check, register_section_check
from b2b_basicsr.data.lmdb_clients import close_lmdb_clients
from b2b_basicsr.data.picture_checks import RunChecks, run_checks
from b2b_basicsr.errors import OptionError, UserError
from b2b_basicsr.options.section import shown

_MODELS = {
    'Blur2BlurModel': blur2blur_check.check_blur2blur,
    'DeblurModel': deblur_check.check_deblur,
    'KernelWizardModel': kernel_wizard_check.check_kernel_wizard,
}

register_section_check(check_sections)


@register_option_check
def check_options(opt: dict[str, Any], args: argparse.Namespace) -> None:
    """Checks device, networks, weights, losses and metrics of a parsed option file.

    Raises:
        UserError: for the first thing that the user has to mend.
    """
    end_late_errors_in_one_line()
    load_weights_only()
    _check_names(opt)
    check_device(opt, args)
    if opt['model_type'] in _MODELS:
        _MODELS[opt['model_type']](opt)


@register_option_check
def check_data(opt: dict[str, Any], args: argparse.Namespace) -> None:
    """Checks the data sets of a parsed option file, which :func:`check_options` has found right.

    Raises:
        UserError: for the first thing that the user has to mend.
    """
    check_datasets(opt, run_checks)


def check_datasets(opt: dict[str, Any], run: RunChecks) -> None:
    """As :func:`check_data`; ``run`` looks at the pictures."""
    try:
        for phase, section in opt['datasets'].items():
            check_dataset(phase, section, opt['model_type'] in _MODELS, run)
        check_databases(opt['datasets'])
    finally:
        close_lmdb_clients()  # BasicSR's own data sets open the same databases


def _check_names(opt: Mapping[str, Any]) -> None:
    """The names that BasicSR takes as they come: of the experiment, the model, sections and validation sets."""
    if Path(opt['name']).name != opt['name'] or opt['name'] in ('.', '..'):
        raise UserError(f'name: {opt["name"]!r} would leave the folder experiments; use no slashes')
    registered(MODEL_REGISTRY, 'model_type', opt.get('model_type'))
    names: dict[str | None, str] = {}
    for phase, section in opt['datasets'].items():
        if phase.split('_')[0] not in ('train', 'val', 'test'):
            raise UserError(f'datasets:{phase}: sections are named train, val, val_2, test_1 and so on')
        if not isinstance(section.get('name', ''), str):
            raise OptionError(f'datasets:{phase}:name', f'{shown(section["name"])}: must be a text')
        if phase != 'train' and section.get('name') in names:
            raise UserError(
                f'datasets:{phase}:name: {section["name"]!r} is the name of {names[section["name"]]}, too; results are '
                'kept under it'
            )
        names[section.get('name')] = f'datasets:{phase}'
