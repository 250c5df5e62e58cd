"""A command that is told to end clears up behind itself."""

from __future__ import annotations

import signal
from types import FrameType

import click


def end_as_by_ctrl_c(context: click.Context) -> None:
    """Until the context closes, SIGTERM and SIGHUP (a scheduler, a closed terminal) end the command as Ctrl-C does."""
    for name in ('SIGTERM', 'SIGHUP'):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)
            context.call_on_close(lambda number=number: signal.signal(number, signal.SIG_DFL))


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
