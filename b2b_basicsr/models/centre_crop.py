"""The middle of a picture."""

from __future__ import annotations

from torch import Tensor


def centre_crop(picture: Tensor, side: int) -> Tensor:
    """The centre of [..., h, w], ``side`` pixels high and wide, or what there is; a view.

    Example:
        >>> import torch
        >>> centre_crop(torch.zeros(1, 3, 8, 5), 6).shape
        torch.Size([1, 3, 6, 5])
    """
    height, width = picture.shape[-2:]
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    return picture[..., top : top + side, left : left + side]
