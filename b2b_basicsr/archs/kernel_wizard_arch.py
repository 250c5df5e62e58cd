"""KernelWizard, the blur-kernel network: takes the blur of one pair and gives it to another picture.

Tran et al., "Explore Image Deblurring via Encoded Blur Kernel Space", CVPR 2021.
"""

from __future__ import annotations

from typing import overload

import torch
import torch.nn.functional as F
from basicsr.archs.arch_util import ResidualBlockNoBN, make_layer
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

from b2b_basicsr.archs.argument_checks import Blocks, Channels, check_integer
from b2b_basicsr.archs.padding import pad_reflect
from b2b_basicsr.errors import UserError

_CODE_STRIDE = 128  # pixels of the picture to one place of the code
_SMALLEST_SIDE = 256  # the encoder's last blocks reflect at the border, which takes two places
_ENCODER_LEVELS = 5


class _EncoderBlock(nn.Module):
    """Residual block at the code's resolution, reflecting at the borders."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=False),
            nn.Identity(),  # where published keys count a norm
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=False),
            nn.Identity(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = x + self.conv_block(x)
        return out


class _KernelExtractor(nn.Module):
    """From the features of (sharp, blurry) to the code, at a 32nd of their size."""

    def __init__(self, num_feat: int, code_ch: int, n_blocks: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(2 * num_feat, num_feat, 7, bias=False),
            nn.Identity(),
            nn.ReLU(inplace=True),
        ]
        width = num_feat
        for level in range(_ENCODER_LEVELS):
            wider = code_ch if level == _ENCODER_LEVELS - 1 else min(2 * width, code_ch)
            conv = nn.Conv2d(width, wider, 3, stride=2, padding=1, bias=False)
            layers += [conv, nn.Identity(), nn.ReLU(inplace=True)]
            width = wider
        self.model = nn.Sequential(*layers, *(_EncoderBlock(code_ch) for _ in range(n_blocks)))

    def forward(self, sharp: torch.Tensor, blur: torch.Tensor) -> torch.Tensor:
        code: torch.Tensor = self.model(torch.cat([sharp, blur], dim=1))
        return code


class _AdapterLevel(nn.Module):
    """One level of the adapter's U-Net, and those below it.

    Args:
        outer_ch: Channels that come in.
        widths: Channels after this level's downsampling, then those of the levels below.
        code_ch: Channels of the code, which joins at the innermost level.
        outermost: This is the level that the features come to.
    """

    def __init__(self, outer_ch: int, widths: list[int], code_ch: int, outermost: bool = False) -> None:
        super().__init__()
        inner_ch = widths[0]
        down = nn.Conv2d(outer_ch, inner_ch, 4, stride=2, padding=1, bias=False)
        self.down = nn.Sequential(down) if outermost else nn.Sequential(nn.LeakyReLU(0.2), down)
        self.submodule = _AdapterLevel(inner_ch, widths[1:], code_ch) if len(widths) > 1 else None
        up = nn.ConvTranspose2d(
            inner_ch + (code_ch if self.submodule is None else inner_ch),
            outer_ch,
            4,
            stride=2,
            padding=1,
            bias=outermost,
        )
        self.up = nn.Sequential(nn.ReLU(inplace=True), up)
        if outermost:
            self.up.append(nn.Tanh())

    def forward(self, x: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        inner = self.down(x)
        deep = torch.cat([inner, code], dim=1) if self.submodule is None else self._below(inner, code)
        out: torch.Tensor = self.up(deep)
        return out

    def _below(self, inner: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        assert self.submodule is not None
        return torch.cat([self.submodule(inner, code), inner], dim=1)


class _Adapter(nn.Module):
    """Features of a sharp picture to those of the picture with the code's blur: a pix2pix U-Net of five levels."""

    def __init__(self, num_feat: int, code_ch: int) -> None:
        super().__init__()
        widths = [num_feat * times for times in (1, 2, 4, 8, 8)]
        self.model = _AdapterLevel(num_feat, widths, code_ch, outermost=True)

    def forward(self, features: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        adapted: torch.Tensor = self.model(features, code)
        return adapted


@ARCH_REGISTRY.register()
class KernelWizard(nn.Module):
    """The blur-kernel network of Tran et al., CVPR 2021: ``K = transfer(s, encode(sharp, blur))``.

    ``encode`` writes the blur between a sharp picture and its blurry twin as a code of ``kernel_dim`` channels, one
    place for each 128x128 pixels; ``transfer`` gives that blur to any sharp picture. Trained to reproduce the blurry
    twin from the sharp one and the code (:class:`~b2b_basicsr.models.kernel_wizard_model.KernelWizardModel`).

    Pictures of any height and width: inside, they are mirrored at the right and the bottom to multiples of 128, of 256
    at least, and cropped back.

    Args:
        nf: Channels of the features.
        front_RBs: Residual blocks of the feature extractor.
        back_RBs: Residual blocks of the reconstruction.
        kernel_dim: Channels of the code.
        n_blocks: Residual blocks at the encoder's end.
        use_vae: The code is a normal distribution: twice the channels, mean and sigma. A sample of it is drawn in
            training mode; in eval mode the mean stands for it.

    Raises:
        UserError: An argument is out of its range.

    Example:
        >>> import torch
        >>> from b2b_basicsr.archs import KernelWizard
        >>> net = KernelWizard(nf=8, front_RBs=1, back_RBs=1, kernel_dim=16, n_blocks=1)
        >>> sharp, blur, other_sharp = torch.rand(3, 1, 3, 256, 256)
        >>> mean, sigma = net.encode(sharp, blur)
        >>> mean.shape, net.transfer(other_sharp[..., :200, :180], mean).shape
        (torch.Size([1, 16, 2, 2]), torch.Size([1, 3, 200, 180]))
    """

    def __init__(
        self,
        nf: Channels = 64,
        front_RBs: Blocks = 10,  # noqa: N803  (published names)
        back_RBs: Blocks = 20,  # noqa: N803
        kernel_dim: Channels = 512,
        n_blocks: Blocks = 4,
        use_vae: bool = False,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_integer(name, 'nf', nf, 1)
        check_integer(name, 'front_RBs', front_RBs, 0)
        check_integer(name, 'back_RBs', back_RBs, 0)
        check_integer(name, 'kernel_dim', kernel_dim, 1)
        check_integer(name, 'n_blocks', n_blocks, 0)
        if not isinstance(use_vae, bool):
            raise UserError(f'{name}: use_vae must be true or false, but is {use_vae!r}')
        self.use_vae = use_vae
        self.feature_extractor = nn.Sequential(
            nn.Conv2d(3, nf, 3, 1, 1),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(nf, nf, 3, 2, 1),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(nf, nf, 3, 2, 1),
            nn.LeakyReLU(0.1, inplace=True),
            *make_layer(ResidualBlockNoBN, front_RBs, num_feat=nf),
        )
        self.kernel_extractor = _KernelExtractor(nf, kernel_dim * (2 if use_vae else 1), n_blocks)
        self.adapter = _Adapter(nf, kernel_dim)
        self.recon_trunk = nn.Sequential(
            *make_layer(ResidualBlockNoBN, back_RBs, num_feat=nf),
            nn.Conv2d(nf, 4 * nf, 3, 1, 1),
            nn.PixelShuffle(2),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(nf, 4 * nf, 3, 1, 1),
            nn.PixelShuffle(2),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(nf, nf, 3, 1, 1),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(nf, 3, 3, 1, 1),
        )

    @staticmethod
    def _padded(picture: torch.Tensor) -> torch.Tensor:
        right, bottom = (
            max(_SMALLEST_SIDE, size + -size % _CODE_STRIDE) - size for size in (picture.shape[-1], picture.shape[-2])
        )
        return pad_reflect(picture, 0, right, 0, bottom)

    def _features(self, *wholes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Of each picture; those of one shape go through together."""
        if len({whole.shape for whole in wholes}) > 1:
            return tuple(self.feature_extractor(whole) for whole in wholes)
        features: torch.Tensor = self.feature_extractor(torch.cat(wholes))
        return features.chunk(len(wholes))

    def _check_pair(self, sharp: torch.Tensor, blur: torch.Tensor) -> None:
        if sharp.shape != blur.shape:
            raise UserError(
                f'{type(self).__name__}: sharp and blurry picture must be of one shape, but are {list(sharp.shape)} '
                f'and {list(blur.shape)}'
            )

    def _code(self, sharp_features: torch.Tensor, blur_features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        code = self.kernel_extractor(sharp_features, blur_features)
        if not self.use_vae:
            return code, torch.zeros_like(code)
        mean, sigma = code.chunk(2, dim=1)
        return mean, sigma

    def _blurred(self, whole: torch.Tensor, features: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        places = (whole.shape[-2] // _CODE_STRIDE, whole.shape[-1] // _CODE_STRIDE)
        if kernel.shape[-2:] != places:
            kernel = F.interpolate(kernel, places, mode='bilinear', align_corners=False)
        blurred: torch.Tensor = self.recon_trunk(self.adapter(features, kernel)) + whole
        return blurred

    def encode(self, sharp: torch.Tensor, blur: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The blur between two pictures of the same scene.

        Args:
            sharp: ``[n, 3, h, w]`` in [0, 1].
            blur: the same scene, blurry, of the same shape.

        Returns:
            Mean and sigma of the code, each ``[n, kernel_dim, ceil(h / 128), ceil(w / 128)]``, at least 2x2; sigma is
            zero without ``use_vae``.

        Raises:
            UserError: The two differ in shape.
        """
        self._check_pair(sharp, blur)
        sharp_features, blur_features = self._features(self._padded(sharp), self._padded(blur))
        return self._code(sharp_features, blur_features)

    def transfer(self, sharp: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        """Blurs a picture by a code.

        Args:
            sharp: ``[n, 3, h, w]`` in [0, 1].
            kernel: ``[n, kernel_dim, *, *]``, a code of ``encode``. One made from pictures of another size is resized
                (bilinear), so what blurs the left third of one blurs the left third of the other.

        Returns:
            The blurred picture, ``[n, 3, h, w]``, about [0, 1] but not clipped to it.
        """
        height, width = sharp.shape[-2:]
        whole = self._padded(sharp)
        (features,) = self._features(whole)
        return self._blurred(whole, features, kernel)[..., :height, :width]

    def sample(self, mean: torch.Tensor, sigma: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """A code drawn from ``mean + sigma * noise`` in training mode, else the mean.

        Args:
            mean: ``[n, kernel_dim, *, *]``.
            sigma: of the same shape.
            generator: source of the noise, on the CPU; torch's own where there is none.
        """
        if not (self.use_vae and self.training):
            return mean
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype)
        return mean + sigma * noise.to(mean.device)

    @overload
    def forward(
        self,
        sharp: torch.Tensor,
        blur: torch.Tensor,
        other_sharp: torch.Tensor,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor: ...

    @overload
    def forward(
        self,
        sharp: torch.Tensor,
        blur: torch.Tensor,
        other_sharp: None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]: ...

    def forward(
        self,
        sharp: torch.Tensor,
        blur: torch.Tensor,
        other_sharp: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Gives the blur of a pair to another picture; without one, to the pair's own sharp picture: :meth:`reblur`.

        Args:
            sharp: ``[n, 3, h, w]`` in [0, 1].
            blur: its blurry twin, of the same shape.
            other_sharp: ``[n, 3, h2, w2]`` in [0, 1].
            generator: source of the code's noise, see :meth:`sample`.

        Returns:
            ``other_sharp``, blurred, ``[n, 3, h2, w2]``; without it, what :meth:`reblur` gives.

        Raises:
            UserError: Sharp and blurry picture differ in shape.
        """
        if other_sharp is None:
            return self.reblur(sharp, blur, generator)
        self._check_pair(sharp, blur)
        height, width = other_sharp.shape[-2:]
        whole = self._padded(other_sharp)
        sharp_features, blur_features, features = self._features(self._padded(sharp), self._padded(blur), whole)
        code = self.sample(*self._code(sharp_features, blur_features), generator)
        return self._blurred(whole, features, code)[..., :height, :width]

    def reblur(
        self, sharp: torch.Tensor, blur: torch.Tensor, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Takes the blur of a pair and gives it to the pair's own sharp picture, whose features serve twice.

        Args:
            sharp: ``[n, 3, h, w]`` in [0, 1].
            blur: its blurry twin, of the same shape.
            generator: source of the code's noise, see :meth:`sample`.

        Returns:
            The re-blurred picture, ``[n, 3, h, w]``, and the mean and sigma of the code.

        Raises:
            UserError: The two differ in shape.
        """
        self._check_pair(sharp, blur)
        height, width = sharp.shape[-2:]
        whole = self._padded(sharp)
        features, blur_features = self._features(whole, self._padded(blur))
        mean, sigma = self._code(features, blur_features)
        blurred = self._blurred(whole, features, self.sample(mean, sigma, generator))
        return blurred[..., :height, :width], mean, sigma
