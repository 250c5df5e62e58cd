"""Networks that give one picture, or the same picture at several sizes, and losses over all of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def as_scales(outputs: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """A network's outputs [n, c, h, w] from the smallest to the full size; the last is the result.

    In float32, where the network computes in less.
    """
    return [_in_full_precision(output) for output in ([outputs] if isinstance(outputs, Tensor) else outputs)]


def _in_full_precision(value: Tensor) -> Tensor:
    return value.to(torch.promote_types(value.dtype, torch.float32))


def resized_like(picture: Tensor, outputs: Sequence[Tensor]) -> list[Tensor]:
    """A picture [n, c, h, w] at each output's size: bilinear without antialiasing, each straight from the full one."""
    return [
        picture
        if picture.shape[-2:] == output.shape[-2:]
        else F.interpolate(picture, output.shape[-2:], mode='bilinear', align_corners=False)
        for output in outputs
    ]


def summed_loss(criterion: nn.Module, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """A content loss, added up over the scales.

    Args:
        criterion: takes an output and its target, both [n, c, h, w]; gives a scalar, or, as BasicSR's
            ``PerceptualLoss``, the content and the style term, either of them ``None``.
        outputs: of the network.
        targets: as many, of the same sizes.

    Example:
        >>> pictures = [torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 4, 4)]
        >>> summed_loss(nn.L1Loss(), pictures, [picture + 0.5 for picture in pictures])
        tensor(1.)
    """
    values = [criterion(output, target) for output, target in zip(outputs, targets, strict=True)]
    terms = [term for value in values for term in (value if isinstance(value, tuple) else (value,)) if term is not None]
    return torch.stack([_in_full_precision(term) for term in terms]).sum()
