"""``--force_yml`` as BasicSR has it, behind which entries follow until the line ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from b2b_basicsr.errors import UserError


def force_yml_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the parameters ``force_yml`` and ``more``, for :func:`forced_entries`."""
    with_more = click.argument('more', nargs=-1, metavar='')(command)
    return click.option(
        '--force_yml', multiple=True, metavar='KEY=VALUE...', help="Change the option file's entries, as in BasicSR."
    )(with_more)


def forced_entries(force_yml: tuple[str, ...], more: tuple[str, ...], command: str) -> tuple[str, ...]:
    """All entries.

    Args:
        force_yml: that parameter.
        more: that parameter.
        command: its name, for messages.

    Raises:
        UserError: if something stands on the command line without ``--force_yml``.
    """
    if more and not force_yml:
        raise UserError(f'{more[0]}: unexpected; entries to change go behind --force_yml (see b2b {command} --help)')
    return (*force_yml, *more)
