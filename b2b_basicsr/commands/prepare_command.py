"""``b2b prepare``: data sets, laid out as the option files name them."""

from __future__ import annotations

import click

from b2b_basicsr.commands.prepare_known_command import known
from b2b_basicsr.commands.prepare_select_command import select
from b2b_basicsr.commands.prepare_sets_command import PREPARE_SETS
from b2b_basicsr.commands.stop_signals import end_as_by_ctrl_c


@click.group()
@click.pass_context
def prepare(context: click.Context) -> None:
    """Lay out data sets as the option files name them, choose pictures, make known blur."""
    end_as_by_ctrl_c(context)


for _command in (*PREPARE_SETS, known, select):
    prepare.add_command(_command)
