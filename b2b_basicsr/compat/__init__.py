"""What keeps basicsr from running today, mended from outside: one module a mend, each absent where it is not needed."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from b2b_basicsr.compat import (
    frozen_networks,
    functional_tensor,
    launchers,
    log_file,
    one_root,
    option_checks,
    resume_state,
    training_length,
    unfinished_validation,
)
from b2b_basicsr.compat.mend import Mend

MENDS: tuple[Mend, ...] = (
    functional_tensor.MEND,
    launchers.MEND,
    resume_state.MEND,
    frozen_networks.MEND,
    training_length.MEND,
    log_file.MEND,
    unfinished_validation.MEND,
    one_root.MEND,
    option_checks.MEND,
)

_applied: list[Mend] = []


def apply_before_import() -> None:
    """Make the mends without which ``import basicsr`` fails."""
    _apply(mend for mend in MENDS if mend.before_import)


def apply_after_import() -> None:
    """Make the mends of basicsr's own functions; ``basicsr`` must have been imported."""
    _apply(MENDS)
    logging.getLogger(__name__).info('mends applied: %s', ', '.join(mend.name for mend in _applied) or 'none')


def applied() -> tuple[Mend, ...]:
    """Return the mends that this process needed and got, in the order of their making."""
    return tuple(_applied)


def _apply(mends: Iterable[Mend]) -> None:
    for mend in mends:
        if mend not in _applied and mend.needed():
            mend.apply()
            _applied.append(mend)
