"""``b2b train`` and ``b2b test``: BasicSR's own pipelines, for those without a checkout of it."""

from __future__ import annotations

import os
import sys

import click

_PASSED_ON = {'ignore_unknown_options': True, 'allow_extra_args': True, 'help_option_names': []}


@click.command(context_settings=_PASSED_ON, add_help_option=False)
@click.argument('arguments', nargs=-1, type=click.UNPROCESSED)
def train(arguments: tuple[str, ...]) -> None:
    """Train as basicsr/train.py does: b2b train -opt FILE.

    The working folder is the root of experiments/ and tb_logger/. All arguments are BasicSR's own.
    """
    _become('train', arguments)
    from basicsr.train import train_pipeline

    _refuse_unknown_model_type()
    train_pipeline(os.getcwd())


@click.command(context_settings=_PASSED_ON, add_help_option=False)
@click.argument('arguments', nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...]) -> None:
    """Test as basicsr/test.py does: b2b test -opt FILE.

    The working folder is the root of results/. All arguments are BasicSR's own.
    """
    _become('test', arguments)
    from basicsr.test import test_pipeline

    _refuse_unknown_model_type()
    test_pipeline(os.getcwd())


def _become(command: str, arguments: tuple[str, ...]) -> None:
    # BasicSR parses sys.argv itself, and notes it in the copy of the option file that it keeps with the experiment.
    sys.argv = [f'b2b {command}', *arguments]


def _refuse_unknown_model_type() -> None:
    from b2b_basicsr.compat.option_checks import refuse_unknown_model_type

    refuse_unknown_model_type()
