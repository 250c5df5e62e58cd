"""Restormer, a U-Net of transformer blocks whose attention is between channels.

Zamir et al., "Restormer: Efficient Transformer for High-Resolution Image Restoration", CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from basicsr.utils.registry import ARCH_REGISTRY
from einops import rearrange
from pydantic import Field
from torch import nn

from b2b_basicsr.archs.argument_checks import Blocks, Channels, EvenChannels, check_integer, check_integers
from b2b_basicsr.archs.padding import pad_to_multiple
from b2b_basicsr.errors import UserError

_NORMS = ('WithBias', 'BiasFree')
_EPS = 1e-5
_LEVELS = 4


class _WithBias(nn.Module):
    """Layer norm over the last axis."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, _EPS)


class _BiasFree(nn.Module):
    """Division by the standard deviation about the mean, over the last axis; the mean stays."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.var(dim=-1, keepdim=True, unbiased=False) + _EPS) * self.weight


class _ChannelNorm(nn.Module):
    """A norm over the channels of every pixel."""

    def __init__(self, channels: int, kind: str) -> None:
        super().__init__()
        self.body = _WithBias(channels) if kind == 'WithBias' else _BiasFree(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed: torch.Tensor = self.body(rearrange(x, 'n c h w -> n h w c'))
        return rearrange(normed, 'n h w c -> n c h w')


class _ChannelAttention(nn.Module):
    """MDTA: attention between channels, so that its cost grows with the picture as a convolution's does."""

    def __init__(self, channels: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=bias)
        self.qkv_dwconv = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=bias)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        query, key, value = rearrange(
            self.qkv_dwconv(self.qkv(x)), 'n (part head c) h w -> part n head c (h w)', part=3, head=self.heads
        )
        query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
        attention = torch.softmax(query @ key.transpose(-2, -1) * self.temperature, dim=-1)
        mixed = rearrange(attention @ value, 'n head c (h w) -> n (head c) h w', h=height, w=width)
        out: torch.Tensor = self.project_out(mixed)
        return out


class _GatedFeedForward(nn.Module):
    """GDFN: one half of the hidden channels gates the other."""

    def __init__(self, channels: int, factor: float, bias: bool) -> None:
        super().__init__()
        hidden = int(channels * factor)
        self.project_in = nn.Conv2d(channels, 2 * hidden, 1, bias=bias)
        self.dwconv = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=bias)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, value = self.dwconv(self.project_in(x)).chunk(2, dim=1)
        out: torch.Tensor = self.project_out(F.gelu(gate) * value)
        return out


class _TransformerBlock(nn.Module):
    def __init__(self, channels: int, heads: int, factor: float, bias: bool, norm: str) -> None:
        super().__init__()
        self.norm1 = _ChannelNorm(channels, norm)
        self.attn = _ChannelAttention(channels, heads, bias)
        self.norm2 = _ChannelNorm(channels, norm)
        self.ffn = _GatedFeedForward(channels, factor, bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        out: torch.Tensor = x + self.ffn(self.norm2(x))
        return out


class _Embedding(nn.Module):
    def __init__(self, in_ch: int, out_ch: int, bias: bool) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_ch, out_ch, 3, padding=1, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.proj(x)
        return out


class _Resample(nn.Module):
    """Half the size with twice the channels, or twice the size with half of them; its convolution has no bias."""

    def __init__(self, channels: int, down: bool) -> None:
        super().__init__()
        conv = nn.Conv2d(channels, channels // 2 if down else 2 * channels, 3, padding=1, bias=False)
        self.body = nn.Sequential(conv, nn.PixelUnshuffle(2) if down else nn.PixelShuffle(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.body(x)
        return out


@ARCH_REGISTRY.register(suffix='basicsr')
class Restormer(nn.Module):
    """Restormer (Zamir et al., CVPR 2022).

    Pictures of any height and width: inside, they are mirrored at the right and the bottom to multiples of 8.

    Registered under BasicSR's fall-back suffix: a ``Restormer`` of the host's own wins.

    Args:
        inp_channels: Channels of the input, 3 for RGB.
        out_channels: Channels of the output; the input is added, so the same number.
        dim: Channels at full size; 2, 4 and 8 times that below. Even, and ``dim * 2**level`` a multiple of
            ``heads[level]``.
        num_blocks: Transformer blocks of the four levels.
        num_refinement_blocks: Blocks at full size after the decoder.
        heads: Heads of the attention, for the four levels.
        ffn_expansion_factor: Hidden channels of the feed-forward parts, over the channels.
        bias: Convolutions have a bias, but for those that change the size.
        LayerNorm_type: ``'WithBias'``, or ``'BiasFree'``, which divides by the standard deviation about the mean
            without subtracting the mean.
        dual_pixel_task: Dual-pixel defocus deblurring, which is not supported: ``True`` is refused.

    Raises:
        UserError: An argument is out of its range.

    Example:
        >>> import torch
        >>> from b2b_basicsr.archs import Restormer
        >>> net = Restormer(dim=8, num_blocks=[1, 1, 1, 1], num_refinement_blocks=1)
        >>> net(torch.rand(1, 3, 37, 50)).shape
        torch.Size([1, 3, 37, 50])
    """

    def __init__(
        self,
        inp_channels: Channels = 3,
        out_channels: Channels = 3,
        dim: EvenChannels = 48,
        num_blocks: Annotated[Sequence[Blocks], Field(min_length=4, max_length=4)] = (4, 6, 6, 8),
        num_refinement_blocks: Blocks = 4,
        heads: Annotated[Sequence[Channels], Field(min_length=4, max_length=4)] = (1, 2, 4, 8),
        ffn_expansion_factor: Annotated[float, Field(gt=0, le=64)] = 2.66,
        bias: bool = False,
        LayerNorm_type: Literal['WithBias', 'BiasFree'] = 'WithBias',  # noqa: N803  (published name)
        dual_pixel_task: bool = False,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_integer(name, 'inp_channels', inp_channels, 1)
        check_integer(name, 'out_channels', out_channels, 1)
        check_integer(name, 'dim', dim, 2)
        blocks = check_integers(name, 'num_blocks', num_blocks, 0)
        heads = check_integers(name, 'heads', heads, 1)
        check_integer(name, 'num_refinement_blocks', num_refinement_blocks, 0)
        for option, values in (('num_blocks', blocks), ('heads', heads)):
            if len(values) != _LEVELS:
                raise UserError(f'{name}: {option} must be a list of {_LEVELS}, one for each level, but is {values!r}')
        if out_channels != inp_channels:
            raise UserError(
                f'{name}: out_channels must be inp_channels, as the input is added, but they are {out_channels} and '
                f'{inp_channels}'
            )
        if dim % 2:
            raise UserError(f'{name}: dim must be even, but is {dim}')
        for level, count in enumerate(heads):
            if dim * 2**level % count:
                raise UserError(
                    f'{name}: heads[{level}] must divide dim * {2**level}, {dim * 2**level}, but is {count}'
                )
        is_number = isinstance(ffn_expansion_factor, int | float) and not isinstance(ffn_expansion_factor, bool)
        if not is_number or int(dim * ffn_expansion_factor) < 1:
            raise UserError(
                f'{name}: ffn_expansion_factor must be a number of at least 1 / dim, but is {ffn_expansion_factor!r}'
            )
        if LayerNorm_type not in _NORMS:
            raise UserError(f'{name}: LayerNorm_type must be one of {", ".join(_NORMS)}, but is {LayerNorm_type!r}')
        if dual_pixel_task:
            raise UserError(f'{name}: dual_pixel_task is not supported; set it to false')

        def stage(level: int, width: int, count: int) -> nn.Sequential:
            return nn.Sequential(
                *(
                    _TransformerBlock(width, heads[level], ffn_expansion_factor, bias, LayerNorm_type)
                    for _ in range(count)
                )
            )

        self.patch_embed = _Embedding(inp_channels, dim, bias)
        self.encoder_level1 = stage(0, dim, blocks[0])
        self.down1_2 = _Resample(dim, down=True)
        self.encoder_level2 = stage(1, 2 * dim, blocks[1])
        self.down2_3 = _Resample(2 * dim, down=True)
        self.encoder_level3 = stage(2, 4 * dim, blocks[2])
        self.down3_4 = _Resample(4 * dim, down=True)
        self.latent = stage(3, 8 * dim, blocks[3])
        self.up4_3 = _Resample(8 * dim, down=False)
        self.reduce_chan_level3 = nn.Conv2d(8 * dim, 4 * dim, 1, bias=bias)
        self.decoder_level3 = stage(2, 4 * dim, blocks[2])
        self.up3_2 = _Resample(4 * dim, down=False)
        self.reduce_chan_level2 = nn.Conv2d(4 * dim, 2 * dim, 1, bias=bias)
        self.decoder_level2 = stage(1, 2 * dim, blocks[1])
        self.up2_1 = _Resample(2 * dim, down=False)
        self.decoder_level1 = stage(0, 2 * dim, blocks[0])
        self.refinement = stage(0, 2 * dim, num_refinement_blocks)
        self.output = nn.Conv2d(2 * dim, out_channels, 3, padding=1, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Restores pictures.

        Args:
            x: ``[n, inp_channels, h, w]`` in [0, 1].

        Returns:
            The restored pictures, of the same shape, about [0, 1] but not clipped to it.
        """
        height, width = x.shape[-2:]
        whole = pad_to_multiple(x, 8)
        full = self.encoder_level1(self.patch_embed(whole))
        half = self.encoder_level2(self.down1_2(full))
        quarter = self.encoder_level3(self.down2_3(half))
        deep = self.latent(self.down3_4(quarter))
        deep = self.decoder_level3(self.reduce_chan_level3(torch.cat([self.up4_3(deep), quarter], dim=1)))
        deep = self.decoder_level2(self.reduce_chan_level2(torch.cat([self.up3_2(deep), half], dim=1)))
        # Not reduced at this level: twice the channels go on to the end.
        deep = self.refinement(self.decoder_level1(torch.cat([self.up2_1(deep), full], dim=1)))
        restored: torch.Tensor = self.output(deep) + whole
        return restored[..., :height, :width]
