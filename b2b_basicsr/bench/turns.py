"""Times several forms of one computation in turn, each in a process of its own."""

from __future__ import annotations

import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from tqdm import tqdm

from b2b_basicsr.bench.process_memory import is_out_of_memory, most_memory
from b2b_basicsr.errors import UserError

Turn = Callable[[], float | None]
"""Does the computation once, waits for the device, and gives the seconds, if it times itself."""


@dataclass(frozen=True)
class Form:
    """One way of doing a computation.

    Args:
        name: for the table.
        start: called once with ``arguments`` in the form's own process, which is spawned: a function of a module.
            What it returns is timed, each time that it is called, unless it gives the seconds itself.
        arguments: of ``start``; they are pickled.
        threads: of torch on the CPU in that process; ``None`` leaves them.
    """

    name: str
    start: Callable[..., Turn]
    arguments: tuple[Any, ...] = ()
    threads: int | None = None


@dataclass(frozen=True)
class Measured:
    """What a form took.

    Args:
        name: of the form.
        seconds: of every round.
        peak_bytes: most memory at a time: what torch has allocated on a CUDA device, where the form uses one, else
            what the whole process held; ``None`` where it cannot be told.
        failure: why there are no seconds, or fewer than rounds.
    """

    name: str
    seconds: tuple[float, ...] = ()
    peak_bytes: int | None = None
    failure: str | None = None

    @property
    def median(self) -> float:
        """Of the seconds; not a number without any."""
        return statistics.median(self.seconds) if self.seconds else float('nan')

    @property
    def spread(self) -> float:
        """The seconds' interquartile range by their median."""
        if len(self.seconds) < 2:
            return 0.0
        first, _, third = statistics.quantiles(self.seconds, n=4, method='inclusive')
        return (third - first) / self.median

    def times_faster_than(self, other: Measured) -> float:
        """The median over the rounds of the other's seconds by these: a machine that slows down slows both."""
        ratios = [theirs / mine for mine, theirs in zip(self.seconds, other.seconds, strict=False)]
        return statistics.median(ratios) if ratios else float('nan')


def run_in_turns(forms: Sequence[Form], rounds: int = 5, warmup: int = 1, progress: bool = True) -> list[Measured]:
    """Runs every form once a round, one after the other.

    All processes are there at the same time and one works at a time, so that what slows the machine down for a while
    meets all alike, and memory is each form's own.

    Args:
        forms: of different names.
        rounds: that are timed.
        warmup: rounds before them.
        progress: show a bar on standard error.

    Returns:
        What each took, in the order of ``forms``. One that fails is left out of the rounds that follow, and says why;
        the traceback of an error that is not a user's mistake goes to standard error.

    Raises:
        UserError: if no form is left; what the first one said.
    """
    bar = tqdm(total=len(forms) * (1 + warmup + rounds), disable=not progress, unit='turn', leave=False)
    players: list[_Player] = []
    try:
        for form in forms:
            players.append(_Player(form))
        for player in players:
            bar.set_description(f'{player.result.name}: starting')
            player.wait_for_start()
            bar.update()
        for number in range(warmup + rounds):
            for player in players:
                bar.set_description(player.result.name)
                player.take_turn(counts=number >= warmup)
                bar.update()
    finally:
        bar.close()
        for player in players:
            player.end()
    results = [player.result for player in players]
    if all(result.failure is not None for result in results):
        raise UserError('; '.join(dict.fromkeys(f'{result.name}: {result.failure}' for result in results)))
    return results


@dataclass
class _Player:
    """A form's process, as its parent sees it."""

    form: Form
    result: Measured = field(init=False)

    def __post_init__(self) -> None:
        self.result = Measured(self.form.name)
        context = get_context('spawn')
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self.form), daemon=True)
        self._process.start()
        theirs.close()

    def wait_for_start(self) -> None:
        self._heard()

    def take_turn(self, counts: bool) -> None:
        if self.result.failure is not None:
            return
        self._connection.send(True)
        answer = self._heard()
        if answer is not None:
            seconds, peak = answer
            taken = (*self.result.seconds, seconds) if counts else ()
            self.result = replace(self.result, seconds=taken, peak_bytes=peak)

    def end(self) -> None:
        with suppress(OSError):  # it has ended
            self._connection.send(False)
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.kill()

    def _heard(self) -> Any:
        try:
            failure, content = self._connection.recv()
        except EOFError:
            failure, content = 'killed; most likely there was too little memory', None
        if failure is not None:
            self.result = replace(self.result, failure=failure)
        return content


def _serve(connection: Connection, form: Form) -> None:
    """The form's process."""
    try:
        if form.threads is not None:
            import torch

            torch.set_num_threads(form.threads)
        turn = form.start(*form.arguments)
        connection.send((None, None))
        while connection.recv():
            start = time.perf_counter()
            its_own = turn()
            seconds = time.perf_counter() - start if its_own is None else its_own
            connection.send((None, (seconds, most_memory())))
    except (EOFError, KeyboardInterrupt):  # nobody is there to hear more
        pass
    except Exception as cause:
        if is_out_of_memory(cause):
            failure = 'out of memory'
        elif isinstance(cause, UserError):
            failure = str(cause)
        else:
            traceback.print_exc()
            failure = f'{type(cause).__name__}: {" ".join(str(cause).split())[:200]}'
        connection.send((failure, None))
