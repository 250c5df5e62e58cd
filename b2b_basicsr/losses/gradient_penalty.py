"""The gradient penalty on the discriminator."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def gradient_penalty(net_d: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
    """How far the gradient's norm is from 1 between real and fake pictures, WGAN-GP (Gulrajani et al., NeurIPS 2017).

    ``mean over samples((||d sum(D(x)) / dx||_2 - 1)^2)`` at ``x = alpha * real + (1 - alpha) * fake``, the norm over
    all of a sample's values. (BasicSR's ``gradient_penalty_loss`` takes the norm over the channels of each pixel:
    another number.)

    Args:
        net_d: discriminator, one tensor to one tensor; not compiled, since torch.compile differentiates once alone.
        real: [n, c, h, w].
        fake: [n, c, h, w]; no gradient flows into it.
        alpha: [n, 1, 1, 1] in [0, 1), one a sample.

    Returns:
        The penalty, a scalar that can be differentiated by D's weights.

    Example:
        >>> net_d = torch.nn.Conv2d(3, 1, 4)
        >>> real, fake = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
        >>> gradient_penalty(net_d, real, fake, torch.rand(2, 1, 1, 1)).shape
        torch.Size([])
    """
    between = (alpha * real.detach() + (1 - alpha) * fake.detach()).requires_grad_()
    scores = net_d(between)
    (gradient,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
    return ((gradient.flatten(1).norm(2, dim=1) - 1) ** 2).mean()
