"""Names in the order in which people count."""

from __future__ import annotations

import re


def natural_order(name: str) -> list[tuple[int, str]]:
    """A key for sorting: runs of digits count as numbers, so that ``9.png`` comes before ``10.png``.

    Example:
        >>> sorted(['10.png', '9.png'], key=natural_order)
        ['9.png', '10.png']
    """
    return [(int(part), '') if part.isdecimal() else (-1, part) for part in re.split(r'(\d+)', name)]
