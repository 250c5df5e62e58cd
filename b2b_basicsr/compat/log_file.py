"""A log file that cannot be written, on a full disk say, is told once, and does not fill the screen with tracebacks.

Python's logging prints a traceback for every line that it cannot write. A training can go on without its log; what it
needs to be resumed ends it with a line of its own when it cannot be saved.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from b2b_basicsr.compat.mend import Mend
from b2b_basicsr.compat.our_option_files import is_our_option_file
from b2b_basicsr.compat.training_script import wrap_script_function


def tell_once(handler: logging.FileHandler) -> None:
    """Have a log file's errors of the disk told in one line, by the first of them; others stay as they are."""
    told: list[OSError] = []
    handle_error = handler.handleError

    def handle(record: logging.LogRecord) -> None:
        cause = sys.exc_info()[1]
        if not isinstance(cause, OSError):
            handle_error(record)
        elif not told:
            told.append(cause)
            print(
                f'{handler.baseFilename}: cannot be written ({cause.strerror or cause}); the training goes on, and so '
                'does its log when it can',
                file=sys.stderr,
                flush=True,
            )

    handler.handleError = handle  # type: ignore[method-assign]


def _telling_once(create_train_val_dataloader: Callable[..., Any]) -> Callable[..., Any]:
    def create(opt: dict[str, Any], logger: logging.Logger) -> Any:
        if is_our_option_file(opt):
            for handler in logger.handlers:
                if isinstance(handler, logging.FileHandler):
                    tell_once(handler)
        return create_train_val_dataloader(opt, logger)

    return create


def _apply() -> None:
    wrap_script_function('create_train_val_dataloader', _telling_once)


MEND = Mend(name='log_file', affects='all', needed=lambda: True, apply=_apply)
