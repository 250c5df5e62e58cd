"""The losses of a batch that is computed in parts."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor


class MeanLosses:
    """Adds up the parts' losses to those of the batch; a part's loss is a mean over it, and all parts are alike.

    Args:
        parts: how many there are.

    Example:
        >>> import torch
        >>> losses = MeanLosses(2)
        >>> for value in (1.0, 2.0):
        ...     _ = losses.add('l_pix', torch.tensor(value))
        >>> losses.means['l_pix']
        tensor(1.5000)
    """

    def __init__(self, parts: int) -> None:
        self._parts = parts
        self.means: OrderedDict[str, Tensor] = OrderedDict()

    def add(self, name: str, loss: Tensor) -> Tensor:
        """Counts a part's loss, a scalar, and gives it back."""
        share = loss.detach() / self._parts
        self.means[name] = self.means[name] + share if name in self.means else share
        return loss
