"""The error that a user can mend, and how a program ends with it."""

from __future__ import annotations

import sys
from typing import NoReturn

from b2b_basicsr.printable import printable


class UserError(ValueError):
    """A mistake in what the user gave: an option, a folder, a file.

    The message is one line that says what is wrong, where (option key or file) and how to mend it. Programs end with
    it by :func:`exit_with`.
    """


class OptionError(UserError):
    """A mistake at one key of an option file. The message is the key, and what is wrong there.

    Args:
        option_key: with its sections, ``train:optim_g:lr`` say; nothing for the file as a whole.
        what: is wrong, and how to mend it.
    """

    def __init__(self, option_key: str, what: str) -> None:
        super().__init__(f'{option_key}: {what}' if option_key else what)
        self.option_key = option_key
        self.what = what

    def __reduce__(self) -> tuple[type[OptionError], tuple[str, str]]:
        return type(self), (self.option_key, self.what)


class ToldElsewhereError(UserError):
    """A mistake that another process of the same training tells; programs end with it without a word."""


def exit_with(error: UserError) -> NoReturn:
    """Print ``error: MESSAGE`` as one line on standard error, without a traceback, and end with exit status 2.

    Raises:
        SystemExit: Always, with code 2.
    """
    if isinstance(error, ToldElsewhereError):
        raise SystemExit(2)
    # A data loader's worker hands on the whole traceback as the message; what we said is its end.
    said = str(error)
    for kind in (UserError, OptionError):
        said = said.rpartition(f'{__name__}.{kind.__name__}: ')[2]
    message = printable(' '.join(line.strip() for line in said.splitlines()))
    print(f'error: {message}', file=sys.stderr, flush=True)
    raise SystemExit(2)
