"""A user's mistake that shows only while a training runs ends in one line, too."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from b2b_basicsr.errors import UserError, exit_with
from b2b_basicsr.options.option_lines import late_error_placed
from b2b_basicsr.processes import lost_the_others, this_process

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def end_late_errors_in_one_line() -> None:
    """From now on an uncaught ``UserError`` prints no traceback and ends the program with exit status 2.

    So does a full disk where others write: BasicSR's copies, TensorBoard. So does Ctrl-C, with status 130. A process
    that others have left says so in one line, and ends with status 1: one of them has said why.

    BasicSR's training script, run literally, has no place of ours around it that could catch an error.
    """
    if getattr(sys.excepthook, '__name__', '') == _hook.__name__:
        return
    sys.excepthook = _hook
    threading.excepthook = _silent_on_full_disks(threading.excepthook)
    sys.unraisablehook = _silent_on_full_disks(sys.unraisablehook)


def _silent_on_full_disks(hook: Callable[[Any], object]) -> Callable[[Any], None]:
    """TensorBoard's thread dies of a full disk, hands the error to who writes next, and meets it again at the exit."""

    def silent_on_full_disks(unhandled: Any) -> None:
        if not (isinstance(unhandled.exc_value, OSError) and unhandled.exc_value.errno in _DISK):
            hook(unhandled)

    return silent_on_full_disks


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, UserError):
        exit_with(late_error_placed(error))
    if isinstance(error, OSError) and error.errno in _DISK:
        what = error.filename or 'a file (of TensorBoard, say)'
        exit_with(
            UserError(
                f'{what}: cannot be written ({error.strerror}): mend that and start again (a training with '
                '--auto_resume, which goes on from the last whole state)'
            )
        )
    if isinstance(error, KeyboardInterrupt):
        print('stopped', file=sys.stderr, flush=True)
        raise SystemExit(130)
    if lost_the_others(error):
        print(f'process {this_process()[0]}: ended, since another one has', file=sys.stderr, flush=True)
        return
    sys.__excepthook__(kind, error, trace)
