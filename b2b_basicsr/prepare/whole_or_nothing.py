"""A folder that is there whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.set_lock import locked
from b2b_basicsr.prepare.write_errors import cannot_write

MANIFEST = 'prepared.json'
"""Written last: a folder without it is not a whole set, and never replaced."""

_MARK = 'b2b_prepare_is_at_work'


@contextmanager
def whole_or_nothing(out: Path, force: bool) -> Iterator[Path]:
    """A folder ``.NAME.partial`` beside ``out`` to build in; it becomes ``out`` if the block ends well, else it goes.

    Args:
        out: must not be there, or be empty; or, with ``force``, hold a manifest, and then is replaced at the very end.
        force: whether ``out`` may be replaced.

    Yields:
        The partial folder; the block must leave a ``prepared.json`` in it.

    Raises:
        UserError: if ``out`` may not be replaced, another process is building it, or the disk is full or read-only.
    """
    out = out.absolute()
    with locked(out), _partial(out, force) as partial:
        yield partial


@contextmanager
def _partial(out: Path, force: bool) -> Iterator[Path]:
    partial, old = out.with_name(f'.{out.name}.partial'), out.with_name(f'.{out.name}.old')
    _clear_up_after_a_killed_run(out, partial, old)
    check_replaceable(out, force)
    try:
        partial.mkdir()
        (partial / _MARK).touch()
        yield partial
        (partial / _MARK).unlink()
        assert (partial / MANIFEST).is_file()
        if (out / MANIFEST).is_file():
            out.rename(old)
        elif out.is_dir():
            out.rmdir()
        partial.rename(out)
    except BaseException as cause:
        shutil.rmtree(partial, ignore_errors=True)
        if old.is_dir() and not out.exists():
            old.rename(out)
        kept = f'nothing of it was kept in {partial.parent}'
        if isinstance(cause, UserError):
            raise UserError(f'{cause}; {kept}') from cause
        if isinstance(cause, OSError):
            raise UserError(f'{cannot_write(out, cause)}; {kept}') from cause
        click.echo(f'{out}: stopped; {kept}', err=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _clear_up_after_a_killed_run(out: Path, partial: Path, old: Path) -> None:
    if (old / MANIFEST).is_file():
        if out.exists():
            shutil.rmtree(old)
        else:
            old.rename(out)
    if not partial.is_dir():
        return
    if not ((partial / _MARK).is_file() or (partial / MANIFEST).is_file()) and any(partial.iterdir()):
        raise UserError(f'{partial}: is in the way, and b2b prepare did not make it; move it or give another -o')
    shutil.rmtree(partial)
    click.echo(f'{partial}: left behind by an interrupted run; removed', err=True)


def check_replaceable(out: Path, force: bool) -> None:
    """Refuse a folder that is there, unless it is empty, or made by ``b2b prepare`` and ``force`` is given.

    Raises:
        UserError: if it may not be replaced.
    """
    if not out.exists() and not out.is_symlink():
        return
    if out.is_dir() and not out.is_symlink() and not any(out.iterdir()):
        return
    if not (out / MANIFEST).is_file() or out.is_symlink():
        raise UserError(f'{out}: is there, and not made by b2b prepare (no {MANIFEST}); move it or give another -o')
    if not force:
        raise UserError(f'{out}: is there already; give another -o, or --force to replace it')
