from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from b2b_basicsr.restore import in_background
from b2b_basicsr.restore.in_background import Patience, ReadAhead, WriteBehind, some_still_at_work, wait_for


def test_items_come_in_order_and_few_are_read_ahead() -> None:
    made: list[int] = []
    threads = set()

    def items() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            threads.add(threading.current_thread())
            yield number

    with ReadAhead(items(), ahead=2) as ahead:
        for place, number in enumerate(ahead):
            assert number == place
            assert len(made) <= place + 3
    assert len(made) == 20
    assert threading.main_thread() not in threads


def test_the_next_is_read_while_the_last_is_used() -> None:
    read = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for number in range(3):
            read[number].set()
            yield number

    with ReadAhead(items()) as ahead:
        for number in ahead:
            if number < 2:
                assert read[number + 1].wait(10)  # would never come if it were read by this thread


def test_a_failure_comes_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError('bad')

    got = []
    with pytest.raises(KeyError, match='bad'), ReadAhead(items()) as ahead:  # noqa: PT012
        for number in ahead:
            got.append(number)
    assert got == [1, 2]


def test_leaving_early_closes_what_is_read() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    with ReadAhead(items()) as ahead:
        next(iter(ahead))
    assert closed.is_set()


def test_calls_are_done_in_order_and_tell_how_they_ended() -> None:
    done: list[int] = []

    def fail() -> None:
        raise OSError(28, 'full')

    with WriteBehind(behind=2) as behind:
        ends = [behind.do(partial(done.append, number)) for number in range(5)]
        failed = behind.do(fail)
        last = behind.do(lambda: done.append(5))
        for end in (*ends, last):
            wait_for(end)
        with pytest.raises(OSError, match='full'):
            wait_for(failed)
    assert done == [0, 1, 2, 3, 4, 5]


def test_calls_are_waited_for_but_not_begun_after_a_failure() -> None:
    done: list[str] = []
    begun, go = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        go.wait(10)
        done.append('slow')

    def leave_in_haste() -> None:
        with WriteBehind(behind=2) as behind:
            behind.do(slow)
            behind.do(lambda: done.append('next'))
            begun.wait(10)
            threading.Timer(0.2, go.set).start()
            raise KeyError('stop')

    with pytest.raises(KeyError):
        leave_in_haste()
    assert done == ['slow']


def test_threads_are_waited_for_together_and_not_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    waited: list[float] = []

    class Thread:
        def join(self, timeout: float) -> None:
            waited.append(timeout)
            now[0] += min(timeout, 2)

    monkeypatch.setattr(time, 'monotonic', lambda: now[0])
    patience = Patience()
    for _ in range(4):
        patience.wait_for(Thread())  # type: ignore[arg-type]
    assert waited == [5, 3, 1, 0]
    patience.renew()
    patience.wait_for(Thread())  # type: ignore[arg-type]
    assert waited[-1] == 5


def test_threads_that_do_not_end_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_background, '_PATIENCE', 0.2)
    begun, go = [threading.Event() for _ in range(3)], threading.Event()
    patience = Patience()
    writers = [WriteBehind(patience=patience) for _ in range(2)]

    def stuck(number: int) -> None:
        begun[number].set()
        go.wait(20)

    def items() -> Iterator[int]:
        stuck(2)
        yield 0

    def leave_in_haste() -> None:
        with writers[0] as one, writers[1] as other, ReadAhead(items(), patience=patience):
            one.do(partial(stuck, 0))
            other.do(partial(stuck, 1))
            for event in begun:
                assert event.wait(10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave_in_haste()
    assert some_still_at_work()
    assert None not in {writer.still_at_work for writer in writers}
    go.set()
    for _ in range(100):
        if not some_still_at_work():
            break
        time.sleep(0.05)
    assert not some_still_at_work()
    assert {writer.still_at_work for writer in writers} == {None}
