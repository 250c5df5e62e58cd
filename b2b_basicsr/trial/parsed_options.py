"""An option file parsed and checked as a training or test of it would, its pictures opened one and all."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from basicsr.utils import misc
from basicsr.utils import options as basicsr_options
from basicsr.utils.registry import MODEL_REGISTRY

from b2b_basicsr.checks.data_check import with_bar
from b2b_basicsr.checks.option_check import check_data, check_datasets
from b2b_basicsr.compat.option_checks import standing_in
from b2b_basicsr.compat.resume_state import read_state
from b2b_basicsr.data.picture_checks import Check, Progress, all_outcomes
from b2b_basicsr.errors import OptionError, UserError
from b2b_basicsr.options.option_file import force_option, read_option_file
from b2b_basicsr.registration import is_ours
from b2b_basicsr.trial.picture_census import CountedSet, count_pictures, tell_all


@dataclass(frozen=True)
class ParsedOptions:
    """An option file in which no mistake was found.

    Args:
        opt: as BasicSR's parser gives it.
        counted: the pictures of each of its ``datasets``.
        state: of the training that it resumes, if it does.
    """

    opt: dict[str, Any]
    counted: dict[str, list[CountedSet]]
    state: Mapping[str, Any] | None = None


def parse(option_file: Path, forced: Sequence[str]) -> ParsedOptions:
    """Parses as ``b2b train`` does, or, if the file has no training in it, as ``b2b test``.

    Args:
        option_file: its path.
        forced: entries of ``--force_yml``.

    Raises:
        UserError: if the file cannot be read or is none of ours.
        SystemExit: with status 2, for any other mistake that the checks find; it has been told.
    """
    trains = _is_training(option_file, forced)
    told = ['b2b check', '-opt', str(option_file), *(['--force_yml', *forced] if forced else [])]
    counted: dict[str, list[CountedSet]] = {}
    states: list[Mapping[str, Any]] = []

    def look_at_data(opt: dict[str, Any], args: argparse.Namespace) -> None:
        if trains and opt['path'].get('resume_state'):
            states.append(_resumed_state(opt))  # first, as pictures take long
        check_datasets(opt, _pass_over)
        counted.update(count_pictures(opt['datasets']))
        check_datasets(opt, _tell_all)

    with standing_in(check_data, look_at_data), _command_line(told):
        opt, _ = basicsr_options.parse_options(os.getcwd(), is_train=trains)
    opt['root_path'] = os.getcwd()  # as BasicSR's training does
    return ParsedOptions(opt, counted, states[0] if states else None)


def _resumed_state(opt: dict[str, Any]) -> Mapping[str, Any]:
    """What the option file resumes, whose networks become those to load.

    Not by BasicSR's ``load_resume_state``, which puts the experiment's folder in order: here it must stay as it is.
    """
    path = str(opt['path']['resume_state'])
    try:
        state = read_state(path)
        misc.check_resume(opt, state['iter'])
    except UserError as error:
        raise OptionError('path:resume_state', str(error)) from error
    return state


@contextmanager
def _command_line(arguments: list[str]) -> Iterator[None]:
    """Within the block BasicSR's parser finds these on the command line."""
    given, sys.argv = sys.argv, arguments
    try:
        yield
    finally:
        sys.argv = given


def _is_training(option_file: Path, forced: Sequence[str]) -> bool:
    opt = read_option_file(option_file)
    for entry in forced:
        force_option(opt, entry, option_file)
    datasets = opt.get('datasets')
    is_training = 'train' in opt or (isinstance(datasets, dict) and 'train' in datasets)
    if not is_ours(MODEL_REGISTRY, opt.get('model_type')):
        named = opt.get('model_type')
        said = f'{named!r} is no model of b2b_basicsr' if named is not None else 'missing'
        raise UserError(
            f'{option_file}: model_type: {said}, and b2b check tries those alone: Blur2BlurModel, DeblurModel, '
            'KernelWizardModel'
        )
    return is_training


def _pass_over(checks: Sequence[Check], progress: Progress | None = None) -> None:
    """In the place of looking at pictures."""


def _tell_all(checks: Sequence[Check], progress: Progress | None = None) -> None:
    """As ``run_checks``, and all that is wrong is told."""
    tell_all(all_outcomes(checks, progress or with_bar), '', 'found wrong in sizes and pairs')
