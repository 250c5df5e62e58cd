"""NAFNet, a U-Net without non-linear activations.

Chen et al., "Simple Baselines for Image Restoration", ECCV 2022.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, cast

import torch
import torch.nn.functional as F
from basicsr.utils.registry import ARCH_REGISTRY
from pydantic import Field
from torch import nn

from b2b_basicsr.archs.argument_checks import Blocks, Channels, check_integer, check_integers
from b2b_basicsr.errors import UserError


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of every pixel.

    Args:
        channels: Channels of the input.
        eps: Added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[n, channels, h, w]`` to the same shape."""
        # torch's kernel finds mean and variance in float32 at least, and keeps for the backward pass only its input and
        # two numbers a pixel.
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class SimpleGate(nn.Module):
    """The first half of the channels times the second."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[n, 2 * c, h, w]`` to ``[n, c, h, w]``."""
        first, second = x.chunk(2, dim=1)
        return first * second


class NAFBlock(nn.Module):
    """NAFNet's block: a gated convolution with channel attention, then gated 1x1 convolutions.

    Args:
        channels: Channels of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.conv1 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv2 = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.conv3 = nn.Conv2d(channels, channels, 1)
        self.sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1))
        self.sg = SimpleGate()
        self.conv4 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv5 = nn.Conv2d(channels, channels, 1)
        self.norm1 = LayerNorm2d(channels)
        self.norm2 = LayerNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[n, channels, h, w]`` to the same shape."""
        attend = self.sg(self.conv2(self.conv1(self.norm1(x))))
        attend = self.conv3(attend * self.sca(attend))
        x = torch.addcmul(x, attend, self.beta)
        feed = self.conv5(self.sg(self.conv4(self.norm2(x))))
        return torch.addcmul(x, feed, self.gamma)


# The suffix is the one BasicSR's registry falls back to: an option file's `NAFNet` finds this class, unless the host or
# another plugin has a NAFNet of its own, which then wins whichever came first.
@ARCH_REGISTRY.register(suffix='basicsr')
class NAFNet(nn.Module):
    """NAFNet (Chen et al., ECCV 2022).

    Any height and width: inside, the picture is continued by zeros at the right and the bottom to multiples of
    2**levels, and the output is cropped. State-dict keys are those of the published checkpoints.

    Args:
        img_channel: Channels of the picture, 3 for RGB.
        width: Channels at full size; they double from level to level.
        middle_blk_num: Blocks at the smallest size, >= 0.
        enc_blk_nums: Blocks of each encoder level, from full size down; its length is the number of levels.
        dec_blk_nums: Blocks of each decoder level, from small to full size; as long as ``enc_blk_nums``.

    Raises:
        UserError: An argument is out of its range.

    Example:
        >>> import torch
        >>> from b2b_basicsr.archs import NAFNet
        >>> net = NAFNet(width=8, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1])
        >>> net(torch.rand(1, 3, 61, 83)).shape
        torch.Size([1, 3, 61, 83])
    """

    def __init__(
        self,
        img_channel: Channels = 3,
        width: Channels = 16,
        middle_blk_num: Blocks = 1,
        enc_blk_nums: Annotated[Sequence[Blocks], Field(max_length=10)] = (),
        dec_blk_nums: Annotated[Sequence[Blocks], Field(max_length=10)] = (),
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_integer(name, 'img_channel', img_channel, 1)
        check_integer(name, 'width', width, 1)
        check_integer(name, 'middle_blk_num', middle_blk_num, 0)
        enc_blk_nums = check_integers(name, 'enc_blk_nums', enc_blk_nums, 0)
        dec_blk_nums = check_integers(name, 'dec_blk_nums', dec_blk_nums, 0)
        if len(enc_blk_nums) != len(dec_blk_nums):
            raise UserError(
                f'{name}: enc_blk_nums and dec_blk_nums must be equally long, but have {len(enc_blk_nums)} and '
                f'{len(dec_blk_nums)} elements'
            )

        self.levels = len(enc_blk_nums)
        self.intro = nn.Conv2d(img_channel, width, 3, padding=1)
        self.ending = nn.Conv2d(width, img_channel, 3, padding=1)
        self.encoders = nn.ModuleList()
        self.decoders = nn.ModuleList()
        self.middle_blks = nn.Sequential(*(NAFBlock(width << self.levels) for _ in range(middle_blk_num)))
        self.ups = nn.ModuleList()
        self.downs = nn.ModuleList()
        for level, blocks in enumerate(enc_blk_nums):
            channels = width << level
            self.encoders.append(nn.Sequential(*(NAFBlock(channels) for _ in range(blocks))))
            self.downs.append(nn.Conv2d(channels, 2 * channels, 2, stride=2))
        for level, blocks in zip(reversed(range(self.levels)), dec_blk_nums, strict=True):
            channels = width << level
            self.ups.append(nn.Sequential(nn.Conv2d(2 * channels, 4 * channels, 1, bias=False), nn.PixelShuffle(2)))
            self.decoders.append(nn.Sequential(*(NAFBlock(channels) for _ in range(blocks))))

    def start_as_identity(self) -> None:
        """Set the last convolution to zero: the network returns its input, until it is trained."""
        nn.init.zeros_(self.ending.weight)
        nn.init.zeros_(cast(torch.Tensor, self.ending.bias))

    def blocks_by_level(self) -> Iterator[tuple[int, NAFBlock]]:
        """Every block with its level: 0 works at full size, ``level`` at 1 / 2**level of it."""
        stages = [*self.encoders, self.middle_blks, *self.decoders]
        levels = [*range(self.levels), self.levels, *reversed(range(self.levels))]
        for level, stage in zip(levels, stages, strict=True):
            for block in stage.children():
                assert isinstance(block, NAFBlock)
                yield level, block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Restore (or translate) a picture.

        Args:
            x: ``[n, img_channel, h, w]``, RGB in [0, 1].

        Returns:
            ``[n, img_channel, h, w]``, about [0, 1], not clamped.
        """
        height, width = x.shape[-2:]
        multiple = 1 << self.levels
        if height % multiple or width % multiple:
            x = F.pad(x, (0, -width % multiple, 0, -height % multiple))

        # The layer norm wants the channels innermost; were the features not laid out so from the start, every block
        # would rearrange them twice. The output takes the layout of the input.
        y = self.intro(x).contiguous(memory_format=torch.channels_last)
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            y = encoder(y)
            skips.append(y)
            y = down(y)
        y = self.middle_blks(y)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            y = decoder(up(y) + skips.pop())
        y = x + self.ending(y)
        out: torch.Tensor = y[..., :height, :width]
        return out
