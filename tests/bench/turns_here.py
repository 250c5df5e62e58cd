"""Forms run where the test runs: a process for each would take seconds to import torch."""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence

import cv2

from b2b_basicsr.bench.turns import Form, Measured


def run_turns_here(forms: Sequence[Form], rounds: int, progress: bool = True) -> list[Measured]:
    """One turn of each, counted ``rounds`` times; pickled, as for a process of its own."""
    measured, threads = [], cv2.getNumThreads()
    for form in map(pickle.loads, map(pickle.dumps, forms)):
        turn = form.start(*form.arguments)
        start = time.perf_counter()
        turn()
        measured.append(Measured(form.name, (time.perf_counter() - start,) * rounds))
    cv2.setNumThreads(threads)
    return measured
