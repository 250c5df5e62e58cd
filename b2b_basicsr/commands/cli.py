"""The console script ``b2b``."""

from __future__ import annotations

import click

from b2b_basicsr import __version__
from b2b_basicsr.commands.demo_command import demo
from b2b_basicsr.commands.options_command import options
from b2b_basicsr.commands.pipeline_commands import test, train
from b2b_basicsr.commands.prepare_command import prepare
from b2b_basicsr.errors import UserError, exit_with


@click.group(context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(__version__, prog_name='b2b_basicsr')
def b2b() -> None:
    """Blur2Blur for BasicSR: turns an unknown blur into one that a deblurrer knows."""


for _command in (demo, options, prepare, train, test):
    b2b.add_command(_command)


def main() -> None:
    """Runs ``b2b``: exit status 0, or 2 and one line on standard error for a user's mistake."""
    try:
        b2b(prog_name='b2b')
    except UserError as error:
        exit_with(error)
