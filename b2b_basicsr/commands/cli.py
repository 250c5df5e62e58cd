"""The console script ``b2b``."""

from __future__ import annotations

import sys

import click

from b2b_basicsr import __version__
from b2b_basicsr.commands.bench_command import bench
from b2b_basicsr.commands.check_command import check
from b2b_basicsr.commands.demo_command import demo
from b2b_basicsr.commands.info_command import info
from b2b_basicsr.commands.options_command import options
from b2b_basicsr.commands.pipeline_commands import test, train
from b2b_basicsr.commands.prepare_command import prepare
from b2b_basicsr.commands.rank_known_command import rank_known
from b2b_basicsr.commands.report_command import report
from b2b_basicsr.commands.restore_command import restore
from b2b_basicsr.errors import UserError, exit_with


@click.group(context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(__version__, prog_name='b2b_basicsr')
def b2b() -> None:
    """Blur2Blur for BasicSR: turns an unknown blur into one that a deblurrer knows."""


for _command in (demo, options, prepare, rank_known, restore, check, train, test, report, bench, info):
    b2b.add_command(_command)


def main() -> None:
    """Runs ``b2b``: exit status 0; 1 where some of many files could not be done; 2 and a line for a mistake."""
    try:
        # Its own way of ending is several lines for a mistake.
        sys.exit(b2b(prog_name='b2b', standalone_mode=False))
    except UserError as error:
        exit_with(error)
    except click.Abort as stop:
        click.echo(str(stop) or 'stopped', err=True)
        sys.exit(130)
    except click.UsageError as error:
        message = error.format_message()
        if error.ctx is not None and message == error.ctx.get_help():  # no command was given
            click.echo(message, err=True)
            sys.exit(2)
        hint = f' (see {error.ctx.command_path} --help)' if error.ctx is not None else ''
        exit_with(UserError(f'{message}{hint}'))
    except click.ClickException as error:
        exit_with(UserError(error.format_message()))
