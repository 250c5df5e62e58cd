"""What is looked at in the pictures of a data set before training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from b2b_basicsr.data.picture_source import PictureSource

Check = Callable[[], object]
Progress = Callable[[Iterator[None], int], Iterator[None]]

_PICTURES_DECODED_AHEAD = 256


def decode_checks(source: PictureSource) -> list[Check]:
    """Decodes some pictures, evenly spread (256 at most); each raises ``UserError`` where it fails."""
    stride = math.ceil(len(source) / _PICTURES_DECODED_AHEAD)
    return [partial(source.read, index) for index in range(0, len(source), stride)]


def run_checks(checks: Sequence[Check], progress: Progress | None = None) -> None:
    """Does all checks, several at a time, and raises what the first of them in order raises.

    Args:
        checks: what to do.
        progress: wraps the checks, given with their number; shows how far they are.
    """

    def run(check: Check) -> None:
        check()

    with ThreadPoolExecutor() as pool:
        results = pool.map(run, checks)
        for _ in progress(results, len(checks)) if progress else results:
            pass
