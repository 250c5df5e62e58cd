"""Pictures mixed with each other. Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from b2b_basicsr.options.section import Flag, OptionSection, Positive


class MixupOptions(OptionSection):
    """``train: mixup_opt``."""

    beta: Positive = 1.2
    """The weight of the mix is drawn from Beta(beta, beta)."""
    use_identity: Flag = False
    """Every other batch, by chance, is left as it is."""


def mixed(pictures: Sequence[Tensor], options: MixupOptions, generator: torch.Generator) -> list[Tensor]:
    """Every picture of a batch mixed with another of it, the blurry ones as the sharp ones.

    ``weight * picture + (1 - weight) * other``, where one weight a batch is drawn from Beta(beta, beta), and the others
    are the batch in random order. With ``use_identity`` every other batch, by chance, stays as it is.

    Args:
        pictures: the blurry and the sharp batch, [n, c, h, w] each.
        options: which distribution.
        generator: on the CPU; all that is random comes from it.

    Returns:
        As many batches of the same sizes.

    Example:
        >>> lq, gt = mixed([torch.ones(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)], MixupOptions(), torch.Generator())
        >>> float(lq.mean()), float(gt.mean())
        (1.0, 0.0)
    """
    if options.use_identity and bool(torch.randint(2, (), generator=generator)):
        return list(pictures)
    # PyTorch's own Beta distribution draws from the global generator alone.
    seed = int(torch.randint(2**62, (), generator=generator))
    weight = float(np.random.default_rng(seed).beta(options.beta, options.beta))
    order = torch.randperm(len(pictures[0]), generator=generator)
    return [torch.lerp(picture[order.to(picture.device)], picture, weight) for picture in pictures]
