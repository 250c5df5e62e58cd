"""How far a code's distribution is from the standard normal one."""

from __future__ import annotations

import torch
from torch import Tensor


def code_divergence(mean: Tensor, sigma: Tensor) -> Tensor:
    """Twice the Kullback-Leibler divergence of N(mean, sigma^2) from N(0, 1), summed: the VAE term of Tran et al. 2021.

    ``sum(mean^2 + sigma^2 - log(1e-8 + sigma^2) - 1)``

    Args:
        mean: any shape.
        sigma: of the same shape; its sign does not matter.

    Returns:
        A scalar, 0 where the code is standard normal.

    Example:
        >>> round(float(code_divergence(torch.full((2, 3), 0.5), torch.ones(2, 3))), 4)
        1.5
    """
    variance = sigma.square()
    return torch.sum(mean.square() + variance - torch.log(1e-8 + variance) - 1)
