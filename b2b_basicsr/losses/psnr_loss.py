"""The loss that NAFNet is trained with."""

from __future__ import annotations

import math

from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn


@LOSS_REGISTRY.register()
class PSNRLoss(nn.Module):
    """Negative PSNR in decibels of pictures in [0, 1], averaged over the batch. Chen et al., ECCV 2022 (NAFNet).

    Args:
        loss_weight: factor of the whole.

    Example:
        >>> import torch
        >>> round(float(PSNRLoss()(torch.full((1, 3, 4, 4), 0.1), torch.zeros(1, 3, 4, 4))), 3)
        -20.0
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Compares two pictures [n, c, h, w]; a scalar, the lower the better, no lower than -80 times the weight."""
        error = ((pred - target) ** 2).flatten(1).mean(dim=1)
        return self.loss_weight * (10 / math.log(10)) * (error + 1e-8).log().mean()
