"""A seed that no option file has named."""

from __future__ import annotations


class DrawnSeed(int):
    """``manual_seed`` where the option file has none: BasicSR draws one at every start.

    A training that is resumed takes that of its state instead.
    """
