"""One run at a time for one result."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.write_errors import cannot_write


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold ``.NAME.lock`` beside ``out``, whose folder is made; at the end the lock file goes.

    Raises:
        UserError: if another run holds it, or it cannot be written.
    """
    out = out.absolute()
    lock_file = out.with_name(f'.{out.name}.lock')
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _acquire(lock_file)
    except BlockingIOError as cause:
        raise UserError(f'{out}: another b2b prepare is at work on it; wait for it') from cause
    except OSError as cause:
        raise cannot_write(out, cause) from cause
    try:
        yield
    finally:
        _release(lock_file, descriptor)


if sys.platform == 'win32':
    import msvcrt

    def _acquire(lock_file: Path) -> int:
        descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as cause:
            os.close(descriptor)
            raise BlockingIOError(*cause.args) from cause
        return descriptor

    def _release(lock_file: Path, descriptor: int) -> None:
        os.close(descriptor)  # an open file cannot be removed there, so it stays

else:
    import fcntl

    def _acquire(lock_file: Path) -> int:
        while True:
            descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Between opening and locking, its last holder may have removed it, and a third made a new one
                if _is_at(lock_file, descriptor):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _is_at(lock_file: Path, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(lock_file, follow_symlinks=False))
        except FileNotFoundError:
            return False

    def _release(lock_file: Path, descriptor: int) -> None:
        lock_file.unlink(missing_ok=True)
        os.close(descriptor)
