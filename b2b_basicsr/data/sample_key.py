"""Where a training sample stands: what every random choice about it hangs on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class SampleKey(NamedTuple):
    """One place in the order of training.

    Args:
        picture: of B, counted in the sorted list.
        seed: the option file's ``manual_seed``.
        epoch: passes over B so far, as BasicSR counts them.
        position: place within the epoch, over all processes.

    Example:
        >>> key = SampleKey(picture=3, seed=10, epoch=0, position=7)
        >>> bool(key.generator('lq').random() == key.generator('lq').random())
        True
    """

    picture: int
    seed: int
    epoch: int
    position: int

    def generator(self, purpose: str) -> np.random.Generator:
        """A fresh generator for one purpose, independent of the others', of the worker and of the process."""
        return np.random.default_rng([self.seed, self.epoch, self.position, *purpose.encode()])
