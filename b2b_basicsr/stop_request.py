"""A training that is asked to end ends where it can go on: behind a step, with all of it saved."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from b2b_basicsr.processes import largest, this_process

_SIGNALS = ('SIGTERM', 'SIGINT', 'SIGHUP')
"""A scheduler's (SLURM's preemption), Ctrl-C, and a closed terminal's."""


class StopRequest:
    """Takes note of the signals that ask a program to end, so that a training can end at a moment of its own choice.

    Example:
        >>> import os
        >>> request = StopRequest()
        >>> request.listen()
        >>> os.kill(os.getpid(), signal.SIGTERM)
        >>> request.agreed().name
        'SIGTERM'
        >>> request.forget()
    """

    def __init__(self) -> None:
        self._received: signal.Signals | None = None
        self._listens = False
        self._before: dict[signal.Signals, object] = {}

    def listen(self) -> None:
        """From now on the signals are noted. Those that the program handles or ignores itself are left to it."""
        if self._listens or threading.current_thread() is not threading.main_thread():
            return
        self._listens = True
        for number in _numbers():
            before = signal.getsignal(number)
            if before in (signal.SIG_DFL, signal.default_int_handler):
                self._before[number] = before
                signal.signal(number, self._note)

    def forget(self) -> None:
        """Handles signals as before :meth:`listen`, and forgets what has come."""
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]
        self._before, self._received, self._listens = {}, None, False

    def agreed(self) -> signal.Signals | None:
        """The signal that came, if any, to any of the processes of a training; all must call it, at the same place."""
        if not self._listens:
            return None
        number = largest(int(self._received or 0))
        return signal.Signals(number) if number else None

    @property
    def is_alone(self) -> bool:
        """Whether a signal has come, and there is no other process that would have to know."""
        return self._received is not None and this_process()[1] == 1

    def _note(self, number: int, frame: FrameType | None) -> None:
        # A launcher hands on to its processes what they may have got already.
        alone = this_process()[1] == 1
        if self._received is not None:
            if number == signal.SIGINT and alone:
                raise KeyboardInterrupt
            return
        self._received = signal.Signals(number)
        if this_process()[0] == 0:
            again = '; Ctrl-C: at once' if alone else ''
            # Past sys.stderr, which the training may be writing to at this moment; and what it leads to may be gone.
            with contextlib.suppress(OSError):
                os.write(2, f'{self._received.name}: ends behind this step{again}\n'.encode())


STOP = StopRequest()
"""That of this process."""


class WorkersDeafToSignals:
    """A ``worker_init_fn`` for a data loader whose training ends by itself when it is told to.

    Ctrl-C and schedulers tell all processes, and a training cannot end its step without its workers.

    Args:
        inner: another such function, called first.
    """

    def __init__(self, inner: Callable[[int], None] | None) -> None:
        self._inner = inner

    def __call__(self, worker_id: int) -> None:
        """In the worker, at its start."""
        if self._inner is not None:
            self._inner(worker_id)
        numbers = _numbers()
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        if hasattr(signal, 'pthread_sigmask'):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def start_workers_unheard(loader: Any) -> None:
    """Has a data loader start its workers while signals wait, which :class:`WorkersDeafToSignals` then drops.

    Between a worker's start and its ``worker_init_fn`` torch's own handler would end it. Those that are left at the
    program's end are killed.

    Args:
        loader: torch's ``DataLoader``, with that ``worker_init_fn``.
    """
    # Which multiprocessing would wait for at the end, for ever, since they do not hear its SIGTERM either.
    atexit.unregister(_kill_workers)
    atexit.register(_kill_workers)
    start: Callable[[], Any] | None = getattr(loader, '_get_iterator', None)
    if start is None or not hasattr(signal, 'pthread_sigmask'):
        return

    def start_unheard() -> Any:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _numbers())
        try:
            return start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    loader._get_iterator = start_unheard


def _numbers() -> list[signal.Signals]:
    return [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]


def _kill_workers() -> None:
    if hasattr(signal, 'SIGCHLD'):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler takes a worker's end for an accident
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()
