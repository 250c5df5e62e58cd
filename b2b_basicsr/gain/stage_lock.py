"""One process at a time for one stage, those that a killed run has left behind included."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def stage_lock(path: Path, waits: Callable[[], object]) -> Iterator[tuple[int, ...]]:
    """Holds a lock file, and waits for it where another process does.

    Args:
        path: the file, which is made and stays; its folder is made.
        waits: called once if another process holds it.

    Yields:
        Open files to hand on to a process that works at the stage: as long as it lives the lock is held, even if this
        process is killed. None on Windows.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if sys.platform == 'win32':
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waits()
            lock.acquire()
        try:
            yield ()
        finally:
            lock.release()
        return
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waits()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield (descriptor,)
    finally:
        os.close(descriptor)
