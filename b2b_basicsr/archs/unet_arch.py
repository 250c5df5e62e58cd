"""U-Net, as a translator of pictures.

Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, Literal, cast

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from pydantic import Field
from torch import nn

from b2b_basicsr.archs.argument_checks import Channels, check_integer
from b2b_basicsr.archs.padding import pad_reflect
from b2b_basicsr.errors import UserError

Norm = Literal['instance', 'batch'] | None
_NORMS: dict[str, type[nn.Module]] = {'instance': nn.InstanceNorm2d, 'batch': nn.BatchNorm2d}


class TwoConvolutions(nn.Sequential):
    """U-Net's block: twice a 3x3 convolution, a norm where one is wanted, and a ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        norm: As :class:`UNet`'s.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for number, channels in enumerate((in_channels, out_channels), start=1):
            # A norm would take a convolution's bias away again.
            layers[f'conv{number}'] = nn.Conv2d(channels, out_channels, 3, padding=1, bias=norm is None)
            if norm is not None:
                layers[f'norm{number}'] = _NORMS[norm](out_channels, affine=True)
            layers[f'relu{number}'] = nn.ReLU(inplace=True)
        super().__init__(layers)


# The suffix is the one BasicSR's registry falls back to, as NAFNet's: another's own UNet wins.
@ARCH_REGISTRY.register(suffix='basicsr')
class UNet(nn.Module):
    """U-Net (Ronneberger et al., MICCAI 2015) with one output, the picture and what the network adds to it.

    Against the paper: convolutions are padded, so that the size stays; the output is added to the picture, which it
    changes. Any height and width: inside, the picture is continued by its mirror image at the right and the bottom to
    multiples of 2**num_levels, and the output is cropped.

    Args:
        num_in_ch: Channels of the picture, 3 for RGB.
        num_feat: Channels at full size; they double from level to level. 64 in the paper.
        num_levels: How often the picture is halved, 1 to 8. 4 in the paper. From 6 on, tiles (multiples of 32) begin
            off the grid of its coarsest levels and differ from the whole.
        norm: After every 3x3 convolution: ``None``, as in the paper; ``'batch'``; or ``'instance'``, which makes a
            pixel hang on the mean of the whole picture: tiles then differ from the whole.

    Raises:
        UserError: An argument is out of its range.

    Example:
        >>> import torch
        >>> from b2b_basicsr.archs import UNet
        >>> net = UNet(num_feat=8, num_levels=2)
        >>> net(torch.rand(1, 3, 61, 83)).shape
        torch.Size([1, 3, 61, 83])
    """

    def __init__(
        self,
        num_in_ch: Channels = 3,
        num_feat: Channels = 64,
        num_levels: Annotated[int, Field(ge=1, le=8)] = 4,
        norm: Norm = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_integer(name, 'num_in_ch', num_in_ch, 1)
        check_integer(name, 'num_feat', num_feat, 1)
        check_integer(name, 'num_levels', num_levels, 1)
        if norm is not None and norm not in _NORMS:
            raise UserError(f'{name}: norm must be one of {", ".join(_NORMS)}, or ~ for none, but is {norm!r}')

        self.num_levels = num_levels
        # Statistics of a single pixel are none.
        self._smallest_side = (1 if norm is None else 2) << num_levels
        self.encoders = nn.ModuleList()
        self.ups = nn.ModuleList()
        self.decoders = nn.ModuleList()
        self.down = nn.MaxPool2d(2)
        for level in range(num_levels):
            channels = num_feat << level
            self.encoders.append(TwoConvolutions(num_in_ch if level == 0 else channels // 2, channels, norm))
        self.middle = TwoConvolutions(num_feat << (num_levels - 1), num_feat << num_levels, norm)
        for level in reversed(range(num_levels)):
            channels = num_feat << level
            self.ups.append(nn.ConvTranspose2d(2 * channels, channels, 2, stride=2))
            self.decoders.append(TwoConvolutions(2 * channels, channels, norm))
        self.ending = nn.Conv2d(num_feat, num_in_ch, 1)

    def start_as_identity(self) -> None:
        """Set the last convolution to zero: the network returns its input, until it is trained."""
        nn.init.zeros_(self.ending.weight)
        nn.init.zeros_(cast(torch.Tensor, self.ending.bias))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Translate (or restore) a picture.

        Args:
            x: ``[n, num_in_ch, h, w]``, RGB in [0, 1].

        Returns:
            ``[n, num_in_ch, h, w]``, about [0, 1], not clamped.
        """
        height, width = x.shape[-2:]
        multiple = 1 << self.num_levels
        right, bottom = (max(self._smallest_side, side + -side % multiple) - side for side in (width, height))
        x = pad_reflect(x, 0, right, 0, bottom)
        y = x
        skips = []
        for encoder in self.encoders:
            y = encoder(y)
            skips.append(y)
            y = self.down(y)
        y = self.middle(y)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            y = decoder(torch.cat([skips.pop(), up(y)], dim=1))
        out: torch.Tensor = (x + self.ending(y))[..., :height, :width]
        return out
