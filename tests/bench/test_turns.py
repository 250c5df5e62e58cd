from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from b2b_basicsr.bench.turns import Form, Measured, Turn, run_in_turns
from b2b_basicsr.errors import UserError


def _noting(log: str, name: str, megabytes: int) -> Turn:
    def turn() -> None:
        block = bytearray(megabytes << 20)
        block[::4096] = b'x' * len(block[::4096])
        with open(log, 'a', encoding='ascii') as file:
            file.write(f'{name} {os.getpid()}\n')
        time.sleep(0.01)

    return turn


def _failing(cause: Exception) -> Turn:
    def turn() -> None:
        raise cause

    return turn


def _killed() -> Turn:
    return lambda: os.kill(os.getpid(), 9)


def test_forms_take_turns_in_processes_of_their_own(tmp_path: Path) -> None:
    log = tmp_path / 'log'
    forms = [Form('small', _noting, (str(log), 'small', 1)), Form('large', _noting, (str(log), 'large', 200))]
    small, large = run_in_turns(forms, rounds=3, warmup=1, progress=False)
    lines = [line.split() for line in log.read_text(encoding='ascii').splitlines()]
    assert [name for name, _ in lines] == ['small', 'large'] * 4
    assert len({process for _, process in lines} | {str(os.getpid())}) == 3
    assert len(small.seconds) == len(large.seconds) == 3
    assert min(small.seconds) >= 0.01
    assert small.peak_bytes is not None
    assert large.peak_bytes is not None
    assert 150 << 20 < large.peak_bytes - small.peak_bytes < 250 << 20


@pytest.mark.parametrize(
    ('form', 'why'),
    [
        (Form('bad', _failing, (MemoryError(),)), 'out of memory'),
        (Form('bad', _failing, (RuntimeError('CUDA out of memory. Tried'),)), 'out of memory'),
        (Form('bad', _failing, (UserError('tile: out of memory on cuda'),)), 'out of memory'),
        (Form('bad', _killed), 'killed; most likely there was too little memory'),
    ],
)
def test_a_form_without_memory_leaves_the_others_alone(form: Form, why: str, tmp_path: Path) -> None:
    good = Form('good', _noting, (str(tmp_path / 'log'), 'good', 1))
    lost, done = run_in_turns([form, good], rounds=2, warmup=1, progress=False)
    assert (lost.seconds, lost.failure) == ((), why)
    assert len(done.seconds) == 2
    assert done.failure is None


def test_mistakes_and_errors_are_told_in_the_place_of_figures(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    forms = [
        Form('mistaken', _failing, (UserError('no such thing'),)),
        Form('wrong', _failing, (ValueError('odd'),)),
        Form('good', _noting, (str(tmp_path / 'log'), 'good', 1)),
    ]
    mistaken, wrong, good = run_in_turns(forms, rounds=1, progress=False)
    assert (mistaken.failure, wrong.failure, good.failure) == ('no such thing', 'ValueError: odd', None)
    assert len(good.seconds) == 1
    assert 'Traceback' in capfd.readouterr().err
    with pytest.raises(UserError, match=r'^mistaken: no such thing; wrong: ValueError: odd$'):
        run_in_turns(forms[:2], progress=False)


def test_ratio_is_by_round() -> None:
    slow, fast = Measured('slow', (2.0, 20.0, 2.0)), Measured('fast', (1.0, 10.0, 1.0))
    assert fast.times_faster_than(slow) == 2
    assert slow.median == 2
    assert fast.spread == 4.5
    assert Measured('none').spread == 0
    assert Measured('none').times_faster_than(slow) != Measured('none').times_faster_than(slow)


def _timing_itself() -> Turn:
    return lambda: 7.0


def test_a_form_may_time_itself() -> None:
    (form,) = run_in_turns([Form('own', _timing_itself)], rounds=2, warmup=0, progress=False)
    assert form.seconds == (7.0, 7.0)
