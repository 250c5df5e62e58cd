"""MIMO-UNet, the multi-input multi-output U-Net that Blur2Blur uses as its blur translator.

Cho et al., "Rethinking Coarse-to-Fine Approach in Single Image Deblurring", ICCV 2021.
"""

from __future__ import annotations

from typing import Annotated, cast

import torch
import torch.nn.functional as F
from basicsr.utils.registry import ARCH_REGISTRY
from pydantic import Field
from torch import nn

from b2b_basicsr.archs.argument_checks import AtLeastOneBlock, EvenChannels, check_integer
from b2b_basicsr.archs.padding import pad_to_multiple
from b2b_basicsr.errors import UserError


def _nearest(x: torch.Tensor, scale: float) -> torch.Tensor:
    return F.interpolate(x, scale_factor=scale, mode='nearest')


class _Conv(nn.Module):
    """Convolution that keeps the size (divided by ``stride``), with or without a ReLU."""

    def __init__(self, in_ch: int, out_ch: int, kernel_size: int, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.main = nn.Sequential(nn.Conv2d(in_ch, out_ch, kernel_size, stride, padding=kernel_size // 2))
        if relu:
            self.main.append(nn.ReLU(inplace=True))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.main(x)
        return out


class _UpConv(nn.Module):
    """Transposed convolution to twice the size, with a ReLU."""

    def __init__(self, in_ch: int, out_ch: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(in_ch, out_ch, kernel_size=4, stride=2, padding=1), nn.ReLU(inplace=True)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.main(x)
        return out


class _ResBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(_Conv(channels, channels, 3), _Conv(channels, channels, 3, relu=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.main(x) + x
        return out


class _Stage(nn.Module):
    """The residual blocks of one resolution, of the encoder or the decoder."""

    def __init__(self, channels: int, num_res: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(_ResBlock(channels) for _ in range(num_res)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(x)
        return out


class _ShallowFeatures(nn.Module):
    """SCM: features of a downsampled input picture, beside the picture itself."""

    def __init__(self, img_ch: int, width: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            _Conv(img_ch, width // 4, 3),
            _Conv(width // 4, width // 2, 1),
            _Conv(width // 2, width // 2, 3),
            _Conv(width // 2, width - img_ch, 1),
        )
        self.conv = _Conv(width, width, 1, relu=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv(torch.cat([image, self.main(image)], dim=1))
        return out


class _AttentionMerge(nn.Module):
    """FAM: what the encoder saw at the finer level, gated by the shallow features of this level's picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.merge = _Conv(channels, channels, 3, relu=False)

    def forward(self, encoded: torch.Tensor, shallow: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = encoded + self.merge(encoded * shallow)
        return out


class _AsymmetricFusion(nn.Module):
    """AFF: the three encoder stages brought to the size of one of them and fused.

    Args:
        channels: Channels of the stages at full, half and quarter size.
        level: The stage whose size and number of channels the output has: 0 full, 1 half.
    """

    def __init__(self, channels: tuple[int, int, int], level: int) -> None:
        super().__init__()
        out_ch = channels[level]
        self.channels = channels
        self.level = level
        self.conv = nn.Sequential(_Conv(sum(channels), out_ch, 1), _Conv(out_ch, out_ch, 3, relu=False))

    def forward(self, stages: list[torch.Tensor]) -> torch.Tensor:
        reduce, relu = cast(_Conv, self.conv[0]).main
        weights = cast(nn.Conv2d, reduce).weight.split(self.channels, dim=1)
        bias = cast(nn.Conv2d, reduce).bias
        # A 1x1 convolution of the concatenated, resized stages, written as a sum over the stages. Nearest-neighbour
        # enlarging may then follow the convolution: less to compute, and no full-size tensor of all the channels.
        fused: torch.Tensor | None = None
        for level, (stage, weight) in enumerate(zip(stages, weights, strict=True)):
            if level < self.level:
                stage = _nearest(stage, 0.5 ** (self.level - level))
            part = F.conv2d(stage, weight, bias if level == self.level else None)
            if level > self.level:
                part = _nearest(part, 2 ** (level - self.level))
            fused = part if fused is None else fused + part
        out: torch.Tensor = self.conv[1](relu(fused))
        return out


@ARCH_REGISTRY.register()
class MIMOUNet(nn.Module):
    """MIMO-UNet (Cho et al., ICCV 2021): one U-Net that reads and writes a picture at three sizes.

    Any height and width: inside, the picture is continued to multiples of 4 by reflection (by replication where it is
    too small for that), and the outputs are cropped.

    Args:
        num_res: Residual blocks in each of the three encoder and three decoder stages, >= 1.
        base_channel: Channels at full size; twice as many at half, four times at quarter size. Even, >= 2.

    Raises:
        UserError: An argument is out of its range.

    Example:
        >>> import torch
        >>> from b2b_basicsr.archs import MIMOUNet
        >>> net = MIMOUNet(num_res=1, base_channel=8)
        >>> [tuple(y.shape) for y in net(torch.rand(1, 3, 62, 96))]
        [(1, 3, 16, 24), (1, 3, 31, 48), (1, 3, 62, 96)]
    """

    def __init__(self, num_res: AtLeastOneBlock = 8, base_channel: EvenChannels = 32) -> None:
        super().__init__()
        name = type(self).__name__
        check_integer(name, 'num_res', num_res, 1)
        check_integer(name, 'base_channel', base_channel, 2)
        if base_channel % 2:
            raise UserError(f'{name}: base_channel must be even, but is {base_channel}')
        c = base_channel

        self.aff_dropout = 0.0
        self.Encoder = nn.ModuleList(_Stage(channels, num_res) for channels in (c, 2 * c, 4 * c))
        self.feat_extract = nn.ModuleList(
            [
                _Conv(3, c, 3),
                _Conv(c, 2 * c, 3, stride=2),
                _Conv(2 * c, 4 * c, 3, stride=2),
                _UpConv(4 * c, 2 * c),
                _UpConv(2 * c, c),
                _Conv(c, 3, 3, relu=False),
            ]
        )
        self.Decoder = nn.ModuleList(_Stage(channels, num_res) for channels in (4 * c, 2 * c, c))
        self.Convs = nn.ModuleList([_Conv(4 * c, 2 * c, 1), _Conv(2 * c, c, 1)])
        self.ConvsOut = nn.ModuleList([_Conv(4 * c, 3, 3, relu=False), _Conv(2 * c, 3, 3, relu=False)])
        self.AFFs = nn.ModuleList(_AsymmetricFusion((c, 2 * c, 4 * c), level) for level in (0, 1))
        self.FAM1 = _AttentionMerge(4 * c)
        self.SCM1 = _ShallowFeatures(3, 4 * c)
        self.FAM2 = _AttentionMerge(2 * c)
        self.SCM2 = _ShallowFeatures(3, 2 * c)

    def start_as_identity(self) -> None:
        """Set the last convolutions to zero: the network returns its input at three sizes, until it is trained."""
        for output in (*self.ConvsOut, self.feat_extract[5]):
            for parameter in output.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Translate a picture.

        Args:
            x: ``[n, 3, h, w]``, RGB in [0, 1].

        Returns:
            ``[quarter, half, full]`` of sizes ceil(h/4) x ceil(w/4), ceil(h/2) x ceil(w/2) and h x w; about [0, 1],
            not clamped.
        """
        height, width = x.shape[-2:]
        x = pad_to_multiple(x, 4)
        x_half = _nearest(x, 0.5)
        x_quarter = _nearest(x_half, 0.5)

        enc_full = self.Encoder[0](self.feat_extract[0](x))
        enc_half = self.Encoder[1](self.FAM2(self.feat_extract[1](enc_full), self.SCM2(x_half)))
        enc_quarter = self.Encoder[2](self.FAM1(self.feat_extract[2](enc_half), self.SCM1(x_quarter)))

        stages = [enc_full, enc_half, enc_quarter]
        fused_full = self._drop(self.AFFs[0](stages))
        fused_half = self._drop(self.AFFs[1](stages))

        dec_quarter = self.Decoder[0](enc_quarter)
        up = self.feat_extract[3](dec_quarter)
        dec_half = self.Decoder[1](self.Convs[0](torch.cat([up, fused_half], dim=1)))
        up = self.feat_extract[4](dec_half)
        dec_full = self.Decoder[2](self.Convs[1](torch.cat([up, fused_full], dim=1)))

        quarter = self.ConvsOut[0](dec_quarter) + x_quarter
        half = self.ConvsOut[1](dec_half) + x_half
        full = self.feat_extract[5](dec_full) + x
        return [quarter, half[..., : -(-height // 2), : -(-width // 2)], full[..., :height, :width]]

    def _drop(self, fused: torch.Tensor) -> torch.Tensor:
        return F.dropout2d(fused, self.aff_dropout, self.training) if self.aff_dropout else fused


@ARCH_REGISTRY.register()
class MIMOUNetPlus(MIMOUNet):
    """MIMO-UNet+ (Cho et al., ICCV 2021): more residual blocks, and dropout of whole fused channels in training.

    Args:
        num_res: As for :class:`MIMOUNet`.
        base_channel: As for :class:`MIMOUNet`.
        drop: Probability, in [0, 1), that a channel of the two fused (AFF) features is dropped; in training mode only.

    Raises:
        UserError: An argument is out of its range.

    Example:
        >>> import torch
        >>> from b2b_basicsr.archs import MIMOUNetPlus
        >>> net = MIMOUNetPlus(num_res=2, base_channel=8).eval()
        >>> net(torch.rand(1, 3, 64, 64))[-1].shape
        torch.Size([1, 3, 64, 64])
    """

    def __init__(
        self,
        num_res: AtLeastOneBlock = 20,
        base_channel: EvenChannels = 32,
        drop: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    ) -> None:
        super().__init__(num_res, base_channel)
        if isinstance(drop, bool) or not isinstance(drop, (int, float)) or not 0 <= drop < 1:
            raise UserError(f'{type(self).__name__}: drop must be a number in [0, 1), but is {drop!r}')
        self.aff_dropout = float(drop)
