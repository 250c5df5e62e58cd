"""Networks that give one picture, or the same picture at several sizes, and losses over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from b2b_basicsr.errors import UserError


def as_scales(outputs: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """A network's outputs [n, c, h, w] from the smallest to the full size; the last is the result.

    In float32, where the network computes in less.
    """
    return [_in_full_precision(output) for output in ([outputs] if isinstance(outputs, Tensor) else outputs)]


def _in_full_precision(value: Tensor) -> Tensor:
    return value.to(torch.promote_types(value.dtype, torch.float32))


class _Beside(torch.autograd.Function):
    """The first of some tensors; the others' gradients are zero."""

    @staticmethod
    def forward(context: Any, first: Tensor, *others: Tensor) -> Tensor:
        context.save_for_backward(*others)
        return first.view_as(first)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        return (gradient, *(torch.zeros_like(other) for other in context.saved_tensors))


def largest_scales(outputs: Sequence[Tensor], count: int | None) -> list[Tensor]:
    """The ``count`` largest of a network's outputs; ``None``: all.

    What is left out has gradients of zero, not none: several processes wait for a gradient of every weight.

    Args:
        outputs: [n, c, h, w] each, from the smallest to the full size.
        count: 1 at least.

    Raises:
        UserError: if the network has fewer.

    Example:
        >>> sizes = [output.shape[-1] for output in largest_scales([torch.zeros(1, 3, n, n) for n in (2, 4, 8)], 2)]
        >>> sizes
        [4, 8]
    """
    check_scales(count, len(outputs))
    if count is None or count == len(outputs):
        return list(outputs)
    *kept, result = outputs[-count:]
    whole: Tensor = _Beside.apply(result, *outputs[:-count])
    return [*kept, whole]


def check_scales(count: int | None, made: int) -> None:
    """Compares ``train: scales`` with what network_g makes.

    Raises:
        UserError: if it makes fewer outputs.
    """
    if count is not None and count > made:
        raise UserError(f'train:scales: {count}; network_g makes {made} alone: lower scales, or set it to ~ for all')


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
