"""``b2b info``: what an option file asks for, and what this environment has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from b2b_basicsr.commands.force_yml_option import force_yml_option, forced_entries
from b2b_basicsr.errors import UserError


class _Size(click.ParamType):
    name = 'HxW'

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        sides = [side for side in str(value).lower().split('x') if side.isdecimal() and int(side)]
        if len(sides) != 2 or str(value).lower() != 'x'.join(sides):
            self.fail(f'{value!r}: give height and width in pixels, as 720x1280', param, context)
        return int(sides[0]), int(sides[1])


@click.command()
@click.option('-opt', 'option_file', type=click.Path(path_type=Path), help='An option file, of a training or a test.')
@click.option(
    '--size',
    type=_Size(),
    default='720x1280',
    show_default=True,
    help='Of the pictures that are restored. In training the size is gt_size.',
)
@click.option('--json', 'as_json', is_flag=True, help='Print everything again, as JSON, on the last line.')
@force_yml_option
def info(
    option_file: Path | None, size: tuple[int, int], as_json: bool, force_yml: tuple[str, ...], more: tuple[str, ...]
) -> None:
    """Tell what an option file's networks cost, whether their weights are there, and what is installed.

    Of every network_* section: parameters and multiply-adds (of convolutions and matrix products; a FLOP count is
    twice that), counted without computing anything; for a training the share of each in a step. Without -opt:
    versions, mends of basicsr and devices alone.
    """
    forced = forced_entries(force_yml, more, 'info')
    if forced and option_file is None:
        raise UserError('--force_yml changes an option file: give -opt')

    # Late, as all of torch and BasicSR comes with it.
    import basicsr  # noqa: F401 (whose import makes the mends)

    from b2b_basicsr import __version__
    from b2b_basicsr.bench.timing_table import print_tables
    from b2b_basicsr.info.environment import environment_tables
    from b2b_basicsr.info.option_file_tables import option_file_tables

    tables = []
    if option_file is not None:
        tables += option_file_tables(option_file, forced, size)
    tables += environment_tables()
    of_what = '' if option_file is None else f': {option_file}'
    print_tables(f'b2b_basicsr {__version__}{of_what}', tables, as_json)
