"""Reading and writing in threads while something else is computed; a bounded number of things at a time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from types import TracebackType
from typing import Generic, TypeVar
from weakref import WeakSet

Item = TypeVar('Item')

_POLL = 0.5
"""Seconds; a wait without end does not hear Ctrl-C on every system."""

_PATIENCE = 5.0
"""Seconds that threads are waited for which are to end early."""

_threads: WeakSet[threading.Thread] = WeakSet()


def some_still_at_work() -> bool:
    """Whether a thread of this module has not ended, though its context may have."""
    return any(thread.is_alive() for thread in tuple(_threads))


class Patience:
    """Some seconds, for all threads together that are waited for while contexts end, one within the other."""

    def __init__(self) -> None:
        self._until: float | None = None

    def renew(self) -> None:
        """Waits that come now have nothing to do with those before."""
        self._until = None

    def wait_for(self, thread: threading.Thread) -> None:
        """Until it ends, or the seconds since the first wait are over."""
        if self._until is None:
            self._until = time.monotonic() + _PATIENCE
        thread.join(max(0.0, self._until - time.monotonic()))


class ReadAhead(Generic[Item]):
    """Iterates over something in a thread, a bounded number of items ahead; use it as a context.

    Items come in their order, and what the iterator raises comes in its place. At the end of the context the iterator
    is closed, in its thread.

    Args:
        items: used by that thread alone. A generator's ``finally`` runs there, too.
        ahead: how many items may be ready, or being made, beyond the one that was given out last.
        patience: with the thread at the end of the context.
    """

    def __init__(self, items: Iterator[Item], ahead: int = 1, patience: Patience | None = None) -> None:
        self._items = items
        self._patience = patience or Patience()
        self._free = threading.Semaphore(ahead)
        self._ready: deque[Future[Item]] = deque()
        self._some_ready = threading.Semaphore(0)
        self._ended = False
        self._thread = threading.Thread(target=self._read, name='read ahead', daemon=True)
        _threads.add(self._thread)

    def __enter__(self) -> ReadAhead[Item]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._free.release()
        self._ready.clear()
        # Not for ever: a file that cannot be read on, of a network that is gone, must not keep the process.
        self._patience.wait_for(self._thread)

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
        patience: with the thread where the context ends by an exception.
    """

    def __init__(self, behind: int = 1, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self._free = threading.Semaphore(behind)
        self._calls: deque[tuple[Callable[[], object], Future[None]]] = deque()
        self._some = threading.Semaphore(0)
        self._ended = False
        self._thread = threading.Thread(target=self._work, name='write behind', daemon=True)
        _threads.add(self._thread)

    def __enter__(self) -> WriteBehind:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, cause: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            self._calls.clear()
        self._ended = True
        self._some.release()
        if kind is None:
            self._thread.join()
        else:
            self._patience.wait_for(self._thread)

    @property
    def still_at_work(self) -> int | None:
        """The ``ident`` of the thread; ``None`` if it has ended or not begun."""
        return self._thread.ident if self._thread.is_alive() else None

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
    wait_until_done(done)
    done.result()


def wait_until_done(done: Future[None]) -> None:
    """Waits until it is done, or has failed."""
    while not wait((done,), timeout=_POLL).done:
        pass
