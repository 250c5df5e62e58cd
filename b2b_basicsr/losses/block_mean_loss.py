"""A loss that holds colour and exposure and leaves blur free."""

from __future__ import annotations

from typing import Annotated

from basicsr.utils.registry import LOSS_REGISTRY
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F


@LOSS_REGISTRY.register()
class BlockMeanLoss(nn.Module):
    """L1 between the means of square blocks.

    A plain L1 would forbid the translator to move the blur; block means do not see detail smaller than a block, and
    tie down what a discriminator that looks at luminance or at fine detail leaves free: colour and exposure.

    Args:
        loss_weight: factor of the whole.
        block: side of a block in pixels. About the width of the known blur is a good choice.

    Raises:
        ValueError: if ``block`` is less than 1.

    Example:
        >>> import torch
        >>> picture = torch.rand(1, 3, 16, 16)
        >>> round(float(BlockMeanLoss(loss_weight=2.0)(picture + 0.1, picture)), 4)
        0.2
    """

    def __init__(self, loss_weight: float = 1.0, block: Annotated[int, Field(ge=1)] = 8) -> None:
        super().__init__()
        if block < 1:
            raise ValueError(f'block is {block}; it must be 1 or more')
        self.loss_weight = loss_weight
        self.block = block

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Compares two pictures [n, c, h, w]; a scalar. Rows and columns beyond the last whole block are left out."""
        # The quarter-size output of a translator can be smaller than a block.
        block = min(self.block, *pred.shape[-2:])
        return self.loss_weight * F.l1_loss(F.avg_pool2d(pred, block), F.avg_pool2d(target, block))
