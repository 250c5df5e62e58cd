"""NAFNet for whole pictures: local instead of global averages, as it saw them in training.

Chu et al., "Improving Image Restoration by Revisiting Global Information Aggregation", ECCV 2022 ("TLC").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from basicsr.utils.registry import ARCH_REGISTRY
from pydantic import Field
from torch import nn

from b2b_basicsr.archs.argument_checks import Blocks, Channels, check_integers
from b2b_basicsr.archs.nafnet_arch import NAFNet
from b2b_basicsr.errors import UserError


class LocalAvgPool2d(nn.Module):
    """Average over the window around each pixel.

    Each side of the window is clipped to the picture's own. Near the borders the nearest window that lies inside the
    picture is taken (where an even number of pixels cannot be split equally, the smaller half is at the left and top).
    Time and memory do not depend on the window.

    Args:
        window: Height and width of the window in pixels.
    """

    def __init__(self, window: tuple[int, int]) -> None:
        super().__init__()
        self.window = window

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Average.

        Args:
            x: ``[n, c, h, w]``.

        Returns:
            ``[n, c, h, w]``; a side that the window covers whole has length 1 instead, to be broadcast.
        """
        covered = [dim for dim, side in zip((-2, -1), self.window, strict=True) if side >= x.shape[dim]]
        if len(covered) == 2:
            return x.mean(dim=(-2, -1), keepdim=True)

        # Running sums over thousands of pixels, of which differences are taken: in float32 they keep their digits only
        # if they do not grow with the length, hence about the mean, and one side after the other.
        sums = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = sums.mean(dim=(-2, -1), keepdim=True)
        sums = sums - mean
        pad = [0, 0, 0, 0]
        for dim, side in zip((-2, -1), self.window, strict=True):
            length = x.shape[dim]
            if dim in covered:
                sums = sums.mean(dim=dim, keepdim=True)
                continue
            sums = _sliding_sum(sums, dim, side) / side
            missing = side - 1
            before = missing // 2
            pad[2 * (-1 - dim) : 2 * (-1 - dim) + 2] = [before, missing - before]
            assert sums.shape[dim] + missing == length
        return F.pad(sums + mean, pad, mode='replicate').to(x.dtype)

    def extra_repr(self) -> str:
        """The window, for ``print(net)``."""
        return f'window={self.window}'


def _sliding_sum(x: torch.Tensor, dim: int, side: int) -> torch.Tensor:
    """Sums of ``side`` neighbours along ``dim``, by differences of the running sum (the integral image of one side)."""
    running = x.cumsum(dim)
    windows = x.shape[dim] - side + 1
    sums = running.narrow(dim, side - 1, windows).clone()
    sums.narrow(dim, 1, windows - 1).sub_(running.narrow(dim, 0, windows - 1))
    return sums


@ARCH_REGISTRY.register()
class NAFNetLocal(NAFNet):
    """NAFNet whose channel attention averages locally: the test-time form for pictures larger than the training crop.

    A network trained on crops meets other statistics when its global averages run over a whole picture. Here each
    becomes the average over a window of 1.5 times what the layer's size was at the training crop (Chu et al., ECCV
    2022). The parameters and state-dict keys are :class:`NAFNet`'s, so its checkpoints load. For a picture of up to
    1.5 times the crop on both sides it is NAFNet itself.

    Args:
        img_channel: As for :class:`NAFNet`, and so the next four.
        width: Channels at full size.
        middle_blk_num: Blocks at the smallest size.
        enc_blk_nums: Blocks of each encoder level.
        dec_blk_nums: Blocks of each decoder level.
        train_size: Shape ``[n, c, h, w]`` of a training batch; only h and w, the crop's sides, matter.

    Raises:
        UserError: An argument is out of its range.

    Example:
        >>> import torch
        >>> from b2b_basicsr.archs import NAFNet, NAFNetLocal
        >>> sizes = {'width': 8, 'enc_blk_nums': [1, 1], 'dec_blk_nums': [1, 1]}
        >>> net = NAFNetLocal(**sizes, train_size=[1, 3, 32, 32])
        >>> net.load_state_dict(NAFNet(**sizes).state_dict())
        <All keys matched successfully>
        >>> net(torch.rand(1, 3, 90, 121)).shape
        torch.Size([1, 3, 90, 121])
    """

    def __init__(
        self,
        img_channel: Channels = 3,
        width: Channels = 16,
        middle_blk_num: Blocks = 1,
        enc_blk_nums: Annotated[Sequence[Blocks], Field(max_length=10)] = (),
        dec_blk_nums: Annotated[Sequence[Blocks], Field(max_length=10)] = (),
        train_size: Annotated[Sequence[Channels], Field(min_length=4, max_length=4)] = (1, 3, 256, 256),
    ) -> None:
        super().__init__(img_channel, width, middle_blk_num, enc_blk_nums, dec_blk_nums)
        name = type(self).__name__
        train_size = check_integers(name, 'train_size', train_size, 1)
        if len(train_size) != 4:
            raise UserError(f'{name}: train_size must be [n, c, h, w], but is {train_size}')

        for level, block in self.blocks_by_level():
            # The crop, too, is padded to a multiple of 2**levels, so its size halves without remainder.
            layer_size = [-(-side >> self.levels) << self.levels >> level for side in train_size[-2:]]
            block.sca[0] = LocalAvgPool2d((layer_size[0] * 3 // 2, layer_size[1] * 3 // 2))
