"""A user's mistake that shows only while a training runs ends in one line, too."""

from __future__ import annotations

import sys
from types import TracebackType

from b2b_basicsr.errors import UserError, exit_with
from b2b_basicsr.processes import lost_the_others, this_process


def end_late_errors_in_one_line() -> None:
    """From now on an uncaught ``UserError`` prints no traceback and ends the program with exit status 2.

    A process that others have left says so in one line, and ends with status 1: one of them has said why.

    BasicSR's training script, run literally, has no place of ours around it that could catch an error.
    """
    if getattr(sys.excepthook, '__name__', '') == _hook.__name__:
        return
    sys.excepthook = _hook


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, UserError):
        exit_with(error)
    if lost_the_others(error):
        print(f'process {this_process()[0]}: ended, since another one has', file=sys.stderr, flush=True)
        return
    sys.__excepthook__(kind, error, trace)
