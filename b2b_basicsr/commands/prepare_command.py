"""``b2b prepare``: data sets, laid out as the option files name them."""

from __future__ import annotations

import signal
from types import FrameType

import click

from b2b_basicsr.commands.prepare_known_command import known
from b2b_basicsr.commands.prepare_select_command import select
from b2b_basicsr.commands.prepare_sets_command import PREPARE_SETS


@click.group()
@click.pass_context
def prepare(context: click.Context) -> None:
    """Lay out data sets as the option files name them, choose pictures, make known blur."""
    # A cluster's scheduler and a closed terminal end a run as Ctrl-C does: it clears up behind itself.
    for name in ('SIGTERM', 'SIGHUP'):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)
            context.call_on_close(lambda number=number: signal.signal(number, signal.SIG_DFL))


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


for _command in (*PREPARE_SETS, known, select):
    prepare.add_command(_command)
