"""A file that is there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = '.b2b_unfinished-'
"""Hidden, so that no run takes it for an input."""

_at_work: dict[Path, int] = {}
"""Temporary files of this process, and the threads that write them."""


@contextmanager
def whole_file(path: Path, durable: bool = True) -> Iterator[Path]:
    """A temporary file beside ``path`` to write to; it becomes ``path`` if the block ends well, else it goes.

    What it holds, and then its new name, are on the disk when the block has ended: a crash of the machine leaves one
    or the other file whole.

    Args:
        path: replaced, if it is there, at the very end. Its folder is made.
        durable: wait for the disk, as above. Without, a killed program leaves it whole; a crash of the machine may not.

    Yields:
        The temporary file, empty, of the same extension.

    Raises:
        OSError: if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'{_PREFIX}{secrets.token_hex(8)}{path.suffix}')
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    _at_work[temporary] = threading.get_ident()
    try:
        with _held(descriptor, durable):
            yield temporary
        temporary.replace(path)
        if durable:
            _sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        _at_work.pop(temporary, None)


def remove_unfinished(thread: int) -> None:
    """Removes the temporary files of a thread that is not waited for any longer.

    Args:
        thread: its ``ident``; it is still alive.
    """
    for temporary, writer in tuple(_at_work.items()):
        if writer == thread:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def clear_leftovers(folder: Path, and_below: bool = False) -> None:
    """Removes temporary files that killed runs have left in a folder, if it is there; not those of a run at work.

    Args:
        folder: where they lie.
        and_below: in all folders below it, too.
    """
    if sys.platform == 'win32' or not folder.is_dir():
        return
    import fcntl

    for temporary in (folder.rglob if and_below else folder.glob)(f'{_PREFIX}*'):
        with contextlib.suppress(OSError):
            descriptor = os.open(temporary, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                temporary.unlink()
            finally:
                os.close(descriptor)


def _sync(folder: Path) -> None:
    """Has a folder's names written to the disk, where the system has a way to."""
    if sys.platform == 'win32':
        return
    with contextlib.suppress(OSError):  # a folder that may not be read, a file system that knows no such thing
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _held(descriptor: int, durable: bool) -> Iterator[None]:
    if sys.platform == 'win32':  # where an open file cannot be renamed
        os.close(descriptor)
        yield
        return
    import fcntl

    try:
        with contextlib.suppress(OSError):  # a network file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
