from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from b2b_basicsr.stop_request import StopRequest


@pytest.fixture
def request_() -> Iterator[StopRequest]:
    # A shell's background jobs ignore Ctrl-C, those of nohup SIGHUP, and what they start ignores it, too.
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    request = StopRequest()
    yield request
    request.forget()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_noted(request_: StopRequest, number: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
    request_.listen()
    before = request_.agreed(), request_.is_alone
    assert before == (None, False)
    os.kill(os.getpid(), number)
    os.kill(os.getpid(), signal.SIGTERM)  # a launcher's, on top
    assert request_.agreed() is number
    assert request_.is_alone
    assert capfd.readouterr().err.startswith(f'{number.name}: ends behind this step')


def test_ctrl_c_twice_ends_at_once(request_: StopRequest) -> None:
    request_.listen()
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_handlers_of_the_program_stay(request_: StopRequest) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        request_.listen()
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM]
        assert request_.agreed() is None
    finally:
        signal.signal(signal.SIGTERM, before)


def test_without_listening_nothing_is_agreed_upon() -> None:
    before = signal.getsignal(signal.SIGTERM)
    request = StopRequest()
    assert request.agreed() is None
    request.listen()
    request.forget()
    assert signal.getsignal(signal.SIGTERM) is before


WORKERS = """
import os, signal, sys, time
from torch.utils.data import DataLoader
from b2b_basicsr.stop_request import WorkersDeafToSignals, start_workers_unheard

class Slow:
    def __len__(self): return 4
    def __getitem__(self, index):
        if index == 3:
            time.sleep(60)
        return os.getpid()

loader = DataLoader(Slow(), batch_size=1, num_workers=2, worker_init_fn=WorkersDeafToSignals(None))
start_workers_unheard(loader)
loader = iter(loader)
first = int(next(loader))
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    os.kill(first, number)
time.sleep(0.2)
print(sorted({first, int(next(loader)), int(next(loader))}) and 'all came', flush=True)
"""


def test_workers_hear_no_signal_and_no_one_waits_for_them() -> None:
    """The last sample takes a minute, and a worker that is deaf to SIGTERM would be waited for at the end."""
    done = subprocess.run([sys.executable, '-c', WORKERS], capture_output=True, text=True, timeout=40, check=False)
    assert done.stdout == 'all came\n', done.stderr
    assert done.returncode == 0


GONE = """
import os, signal, sys, time
from b2b_basicsr.stop_request import STOP
STOP.listen()
print('ready', file=sys.stderr, flush=True)
while STOP.agreed() is None:
    time.sleep(0.01)
open(sys.argv[1], 'w').write(STOP.agreed().name)
"""


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGHUP])
def test_what_it_speaks_to_may_be_gone(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C ends ``tee`` in a pipe, too, and a terminal that closes is no more to be written to."""
    noted = tmp_path / 'noted'
    process = subprocess.Popen(
        [sys.executable, '-c', GONE, str(noted)],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    assert process.stderr is not None
    assert process.stderr.readline() == b'ready\n'
    process.stderr.close()
    process.send_signal(number)
    assert process.wait(timeout=40) == 0
    assert noted.read_text() == number.name


def test_ctrl_c_behind_another_signal_ends_at_once(request_: StopRequest) -> None:
    request_.listen()
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


STARTING = """
import os, signal, threading
from torch.utils.data import DataLoader
from b2b_basicsr.stop_request import STOP, WorkersDeafToSignals, start_workers_unheard

class Numbers:
    def __len__(self): return 2
    def __getitem__(self, index): return index

def tell_itself(worker_id):
    # As a scheduler would that tells all processes, before the worker is deaf.
    os.kill(os.getpid(), signal.SIGTERM)

STOP.listen()
loader = DataLoader(Numbers(), num_workers=1, worker_init_fn=WorkersDeafToSignals(tell_itself))
start_workers_unheard(loader)
print([int(number) for number in loader], STOP.agreed())
os.kill(os.getpid(), signal.SIGTERM)
print(STOP.agreed().name)
"""


def test_a_worker_hears_nothing_while_it_starts() -> None:
    done = subprocess.run([sys.executable, '-c', STARTING], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == '[0, 1] None\nSIGTERM\n', done.stderr
