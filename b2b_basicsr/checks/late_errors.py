"""A user's mistake that shows only while a training runs ends in one line, too."""

from __future__ import annotations

import sys
from types import TracebackType

from b2b_basicsr.errors import UserError, exit_with


def end_late_errors_in_one_line() -> None:
    """From now on an uncaught ``UserError`` prints no traceback and ends the program with exit status 2.

    BasicSR's training script, run literally, has no place of ours around it that could catch one.
    """
    if getattr(sys.excepthook, '__name__', '') == _hook.__name__:
        return
    sys.excepthook = _hook


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, UserError):
        exit_with(error)
    sys.__excepthook__(kind, error, trace)
