"""What is looked at in the pictures of a data set before training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.errors import UserError

T = TypeVar('T')

Check = Callable[[], object]
Progress = Callable[[Iterator[Any], int], Iterator[Any]]
RunChecks = Callable[[Sequence[Check], Progress | None], None]
"""As :func:`run_checks`."""

_PICTURES_DECODED_AHEAD = 256


def decoded_ahead(count: int) -> range:
    """Which of so many pictures are decoded before a training: evenly spread, 256 at most."""
    return range(0, count, max(math.ceil(count / _PICTURES_DECODED_AHEAD), 1))


def decode_checks(source: PictureSource) -> list[Check]:
    """Decodes some pictures, see :func:`decoded_ahead`; each raises ``UserError`` where it fails."""
    return [partial(source.read, index) for index in decoded_ahead(len(source))]


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


def all_outcomes(looks: Sequence[Callable[[], T]], progress: Progress | None = None) -> list[T | UserError]:
    """Looks at everything, several at a time, and does not end where something is wrong.

    Args:
        looks: what to do.
        progress: as of :func:`run_checks`.

    Returns:
        What each gave, in order, or the ``UserError`` that it raised.
    """

    def outcome(look: Callable[[], T]) -> T | UserError:
        try:
            return look()
        except UserError as error:
            return error

    with ThreadPoolExecutor() as pool:
        results = pool.map(outcome, looks)
        return list(progress(results, len(looks)) if progress else results)
