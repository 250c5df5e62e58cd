"""What a mend is: one thing that keeps today's environment from running basicsr, put right from outside."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

LAST_BASICSR_WITH_THESE_FAULTS = (1, 4, 2)


@dataclass(frozen=True)
class Mend:
    """One mend.

    Attributes:
        name: Short name, for logs and ``b2b info``.
        affects: The versions that need it, for people.
        needed: Whether the installed versions need it; where not, the mend is absent.
        apply: Makes the mend. Called once at most.
        before_import: Whether it must precede the import of ``basicsr``; such a mend must not import ``basicsr``.
    """

    name: str
    affects: str
    needed: Callable[[], bool]
    apply: Callable[[], None]
    before_import: bool = False


def release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version's release: ``'1.4.2+abc'`` gives ``(1, 4, 2)``."""
    match = re.match(r'\d+(\.\d+)*', version)
    return tuple(int(number) for number in match.group().split('.')) if match else ()


def basicsr_has_faults() -> bool:
    """Tell whether the imported basicsr is a release that needs the mends of its own faults."""
    import basicsr

    return release(basicsr.__version__) <= LAST_BASICSR_WITH_THESE_FAULTS
