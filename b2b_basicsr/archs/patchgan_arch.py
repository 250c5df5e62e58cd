"""PatchGAN, the discriminator that scores overlapping patches.

Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, overload

import torch
import torch.nn.functional as F
from basicsr.utils.registry import ARCH_REGISTRY
from pydantic import Field
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from b2b_basicsr.archs.argument_checks import Channels, check_integer
from b2b_basicsr.archs.padding import pad_reflect
from b2b_basicsr.errors import UserError

_NORMS = ('instance', 'none', 'spectral')
_LUMA_BT601 = (0.299, 0.587, 0.114)
_DETAIL_GAIN = 4.0  # fine detail of a photograph deviates by 0.05 or so; brought to the spread of a whole picture


class HighPass(nn.Module):
    """Each channel less its local box mean, times 4.

    Args:
        window: Side of the box in pixels, odd, >= 3.
        luma: Of the luminance (ITU-R BT.601) alone.
    """

    luma_weights: torch.Tensor

    def __init__(self, window: int, luma: bool) -> None:
        super().__init__()
        self.window = window
        self.luma = luma
        self.register_buffer('luma_weights', torch.tensor(_LUMA_BT601).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[n, c, h, w]`` in [0, 1] to as many channels about 0; with ``luma`` c is 1 or 3 (RGB), and one is left."""
        # The difference of two near numbers: 16-bit floats would leave few digits of it.
        seen = x.to(torch.promote_types(x.dtype, torch.float32))
        if self.luma and seen.shape[1] == 3:
            seen = (seen * self.luma_weights.to(seen.dtype)).sum(dim=1, keepdim=True)
        reach = self.window // 2
        mean = pad_reflect(seen, reach, reach, reach, reach)
        mean = F.avg_pool2d(F.avg_pool2d(mean, (self.window, 1), stride=1), (1, self.window), stride=1)
        return (_DETAIL_GAIN * (seen - mean)).to(x.dtype)


@ARCH_REGISTRY.register()
class PatchGANDiscriminator(nn.Module):
    """PatchGAN (Isola et al., CVPR 2017): one realness score for each overlapping patch.

    ``n_layers`` convolutions of stride 2, one of stride 1 and a last one of stride 1 to the score, all 4x4 with padding
    1; the widths are ``num_feat`` times 1, 2, 4, 8, 8, ... With ``n_layers=3`` a score sees 70x70 pixels, with 2 it
    sees 34x34, with 1 16x16: fewer layers judge texture and blur, more judge content.

    Second derivatives exist, so a gradient penalty works.

    Args:
        num_in_ch: Channels of the input, 3 for RGB.
        num_feat: Channels after the first convolution.
        n_layers: Number of stride-2 convolutions, >= 1.
        norm: ``'instance'``, the reference's: instance norm without parameters or running statistics after every
            convolution but the first and the last. It hides a patch's contrast from the judge, hence part of the blur.
            ``'none'`` or ``None``: no norm; the state-dict keys are the same. ``'spectral'``: every convolution is
            divided by its largest singular value (Miyato et al., ICLR 2018); the keys are those of
            ``torch.nn.utils.parametrizations.spectral_norm``.
        luma_highpass: ``None``: the judge sees the picture as it is. An odd N >= 3: it sees the luminance less its
            N x N box mean (mirrored at the borders), times 4, one channel. With few pictures in a set the judge soon
            tells the sets apart by colour, exposure or large content, which are then what the translator changes; blur
            lives in the fine detail that this option leaves. Needs ``num_in_ch`` 3 (RGB) or 1 (luminance).
        highpass: The same of every channel, instead: the judge also sees the colours of fine detail, so that the
            translator cannot draw coloured fringes unseen.

    Raises:
        UserError: An argument is out of its range.

    Example:
        >>> import torch
        >>> from b2b_basicsr.archs import PatchGANDiscriminator
        >>> net = PatchGANDiscriminator(num_feat=16)
        >>> net(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 1, 6, 6])
        >>> [tuple(score.shape) for score in net([torch.rand(1, 3, 64, 64), torch.rand(1, 3, 128, 128)])]
        [(1, 1, 6, 6), (1, 1, 14, 14)]
    """

    def __init__(
        self,
        num_in_ch: Channels = 3,
        num_feat: Channels = 64,
        n_layers: Annotated[int, Field(ge=1, le=10)] = 3,
        norm: Literal['instance', 'spectral', 'none'] | None = 'instance',
        luma_highpass: Annotated[int, Field(ge=3, le=1023)] | None = None,
        highpass: Annotated[int, Field(ge=3, le=1023)] | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_integer(name, 'num_in_ch', num_in_ch, 1)
        check_integer(name, 'num_feat', num_feat, 1)
        check_integer(name, 'n_layers', n_layers, 1)
        if norm is None:  # what BasicSR's --force_yml makes of `none`
            norm = 'none'
        if norm not in _NORMS:
            raise UserError(f'{name}: norm must be one of {", ".join(_NORMS)}, but is {norm!r}')
        for key, window in (('luma_highpass', luma_highpass), ('highpass', highpass)):
            if window is None:
                continue
            check_integer(name, key, window, 3)
            if window % 2 == 0:
                raise UserError(f'{name}: {key} must be odd (or ~ for none), but is {window}')
        if luma_highpass is not None and num_in_ch not in (1, 3):
            raise UserError(f'{name}: luma_highpass needs num_in_ch 3 (RGB) or 1, but num_in_ch is {num_in_ch}')
        if luma_highpass is not None and highpass is not None:
            raise UserError(f'{name}: luma_highpass and highpass cannot go together; leave one of them out')

        self.num_in_ch = num_in_ch
        self.smallest_side = 3 * 2**n_layers
        window = luma_highpass or highpass
        self.highpass = None if window is None else HighPass(window, luma=luma_highpass is not None)

        widths = [num_feat * min(2**level, 8) for level in range(n_layers + 1)]
        channels = num_in_ch if luma_highpass is None else 1
        layers: list[nn.Module] = []
        for level, width in enumerate(widths):
            layers.append(nn.Conv2d(channels, width, kernel_size=4, stride=2 if level < n_layers else 1, padding=1))
            if level > 0:
                # Identity, so that the keys do not depend on the norm.
                layers.append(nn.InstanceNorm2d(width) if norm == 'instance' else nn.Identity())
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            channels = width
        layers.append(nn.Conv2d(channels, 1, kernel_size=4, stride=1, padding=1))
        if norm == 'spectral':
            layers = [spectral_norm(layer) if isinstance(layer, nn.Conv2d) else layer for layer in layers]
        self.model = nn.Sequential(*layers)

    @overload
    def forward(self, x: torch.Tensor) -> torch.Tensor: ...

    @overload
    def forward(self, x: Sequence[torch.Tensor]) -> list[torch.Tensor]: ...

    def forward(self, x: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor | list[torch.Tensor]:
        """Score a picture, or each of several with the same weights.

        Args:
            x: ``[n, num_in_ch, h, w]`` in [0, 1], or a list (or tuple) of such tensors of any sizes.

        Returns:
            ``[n, 1, h / 2**n_layers - 2, w / 2**n_layers - 2]``, rounded down, unbounded; or the list of them.

        Raises:
            UserError: A picture is too small for ``n_layers``, or has not ``num_in_ch`` channels.
        """
        if isinstance(x, torch.Tensor):
            return self._score(x)
        return [self._score(picture) for picture in x]

    def _score(self, x: torch.Tensor) -> torch.Tensor:
        channels, height, width = x.shape[-3:]
        if channels != self.num_in_ch:
            raise UserError(
                f'{type(self).__name__}: the picture has {channels} channels, but num_in_ch is {self.num_in_ch}'
            )
        if min(height, width) < self.smallest_side:
            raise UserError(
                f'{type(self).__name__}: a picture of {height} x {width} is too small, each side must be at least '
                f'{self.smallest_side}; use larger crops (gt_size) or a smaller n_layers'
            )
        if self.highpass is not None:
            x = self.highpass(x)
        score: torch.Tensor = self.model(x)
        return score
