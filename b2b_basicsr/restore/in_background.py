"""Reading and writing in threads while something else is computed; a bounded number of things at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar('Item')

_POLL = 0.5
"""Seconds; a wait without end does not hear Ctrl-C on every system."""

_PATIENCE = 5.0
"""Seconds that a thread is waited for which is to end early."""


class ReadAhead(Generic[Item]):
    """Iterates over something in a thread, a bounded number of items ahead; use it as a context.

    Items come in their order, and what the iterator raises comes in its place. At the end of the context the iterator
    is closed, in its thread.

    Args:
        items: used by that thread alone. A generator's ``finally`` runs there, too.
        ahead: how many items may be ready, or being made, beyond the one that was given out last.
    """

    def __init__(self, items: Iterator[Item], ahead: int = 1) -> None:
        self._items = items
        self._free = threading.Semaphore(ahead)
        self._ready: deque[Future[Item]] = deque()
        self._some_ready = threading.Semaphore(0)
        self._ended = False
        self._thread = threading.Thread(target=self._read, name='read ahead', daemon=True)

    def __enter__(self) -> ReadAhead[Item]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._free.release()
        self._ready.clear()
        # Not for ever: a file that cannot be read on, of a network that is gone, must not keep the process.
        self._thread.join(_PATIENCE)

    def __iter__(self) -> Iterator[Item]:
        while True:
            while not self._some_ready.acquire(timeout=_POLL):
                pass
            made = self._ready.popleft()
            try:
                item = made.result()
            except StopIteration:
                return
            self._free.release()
            del made
            yield item
            del item  # else it would stay while the next one is waited for

    def _read(self) -> None:
        try:
            while True:
                self._free.acquire()
                if self._ended:
                    return
                made: Future[Item] = Future()
                try:
                    made.set_result(next(self._items))
                except BaseException as cause:
                    made.set_exception(cause)
                failed = made.exception() is not None
                self._ready.append(made)
                self._some_ready.release()
                del made
                if failed:
                    return
        finally:
            close = getattr(self._items, 'close', None)
            if close is not None:
                close()


class WriteBehind:
    """Does one call after the other in a thread; use it as a context.

    Where the context ends by an exception, calls that have not begun are left out, and the one at work is waited for
    some seconds at most.

    Args:
        behind: how many calls may wait or be at work; one more waits in :meth:`do`.
    """

    def __init__(self, behind: int = 1) -> None:
        self._free = threading.Semaphore(behind)
        self._calls: deque[tuple[Callable[[], object], Future[None]]] = deque()
        self._some = threading.Semaphore(0)
        self._ended = False
        self._thread = threading.Thread(target=self._work, name='write behind', daemon=True)

    def __enter__(self) -> WriteBehind:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, cause: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            self._calls.clear()
        self._ended = True
        self._some.release()
        self._thread.join(None if kind is None else _PATIENCE)

    def do(self, call: Callable[[], object]) -> Future[None]:
        """Has something done, soon.

        Args:
            call: without arguments. It is forgotten, with all that it holds, when it is done.

        Returns:
            What tells that it is done, or raises what it raised.
        """
        while not self._free.acquire(timeout=_POLL):
            pass
        done: Future[None] = Future()
        self._calls.append((call, done))
        self._some.release()
        return done

    def _work(self) -> None:
        while True:
            self._some.acquire()
            try:
                call, done = self._calls.popleft()
            except IndexError:
                if self._ended:
                    return
                continue
            try:
                call()
            except BaseException as cause:
                del call
                self._free.release()
                done.set_exception(cause)
            else:
                del call
                self._free.release()
                done.set_result(None)
            del done


def wait_for(done: Future[None]) -> None:
    """Waits until it is done.

    Raises:
        Exception: what it raised.
    """
    while not wait((done,), timeout=_POLL).done:
        pass
    done.result()
