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
        attempt: how many pictures could not be read in the place of which others are drawn now.

    Example:
        >>> key = SampleKey(picture=3, seed=10, epoch=0, position=7)
        >>> bool(key.generator('lq').random() == key.generator('lq').random())
        True
    """

    picture: int
    seed: int
    epoch: int
    position: int
    attempt: int = 0

    def generator(self, purpose: str) -> np.random.Generator:
        """A fresh generator for one purpose, independent of the others', of the worker and of the process."""
        if self.attempt:
            purpose = f'{purpose}:again:{self.attempt}'
        return np.random.default_rng([self.seed, self.epoch, self.position, *purpose.encode()])

    def drawn_seed(self, purpose: str) -> int:
        """A seed for what the model draws on its device: 63 bits."""
        return int(self.generator(purpose).integers(2**63))

    def place(self) -> dict[str, int]:
        """What a sample says of its place in the training, for the model to note: ``epoch`` and ``position``."""
        return {'epoch': self.epoch, 'position': self.position}
