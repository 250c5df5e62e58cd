"""The sections of BasicSR's losses that our option files use. Ours say themselves what they take."""

from __future__ import annotations

from typing import Annotated, Literal

from basicsr.archs.vgg_arch import NAMES, insert_bn
from pydantic import Field, model_validator
from typing_extensions import Self

from b2b_basicsr.options.section import Flag, NotNegative, Number, OptionSection, Positive

VggType = Literal['vgg11', 'vgg13', 'vgg16', 'vgg19', 'vgg11_bn', 'vgg13_bn', 'vgg16_bn', 'vgg19_bn']


class _PixelLossOptions(OptionSection):
    loss_weight: Number = 1.0
    """Factor of the whole."""
    reduction: Literal['mean', 'sum', 'none'] = 'mean'
    """How the pixels' losses become one."""


class L1LossOptions(_PixelLossOptions):
    """Mean absolute difference of the pixels (BasicSR's)."""

    type: Literal['L1Loss']
    """`L1Loss`"""


class MSELossOptions(_PixelLossOptions):
    """Mean squared difference of the pixels (BasicSR's)."""

    type: Literal['MSELoss']
    """`MSELoss`"""


class CharbonnierLossOptions(_PixelLossOptions):
    """`sqrt(difference^2 + eps)` of the pixels: L1 that is smooth at 0 (BasicSR's)."""

    type: Literal['CharbonnierLoss']
    """`CharbonnierLoss`"""
    eps: Positive = 1e-12
    """How smooth it is at 0."""


class PerceptualLossOptions(OptionSection):
    """Difference of VGG's features, with weights of ImageNet (BasicSR's)."""

    type: Literal['PerceptualLoss']
    """`PerceptualLoss`"""
    layer_weights: Annotated[dict[str, Number], Field(min_length=1)]
    """Layer of VGG -> its weight, `relu2_2: 0.0625` say."""
    vgg_type: VggType = 'vgg19'
    """Which VGG; the reference's is `vgg16`."""
    use_input_norm: Flag = True
    """Normalise the pictures by ImageNet's mean and deviation."""
    range_norm: Flag = False
    """The pictures are in [-1, 1] instead of [0, 1]. Ours are not."""
    perceptual_weight: NotNegative = 1.0
    """Factor of the features' difference."""
    style_weight: NotNegative = 0.0
    """Factor of the difference of the features' Gram matrices."""
    criterion: Literal['l1', 'l2', 'fro'] = 'l1'
    """How features are compared."""

    @model_validator(mode='after')
    def _known_layers(self) -> Self:
        names = NAMES[self.vgg_type.removesuffix('_bn')]
        known = insert_bn(names) if self.vgg_type.endswith('_bn') else names
        for layer in self.layer_weights:
            if layer not in known:
                raise ValueError(f'layer_weights: {self.vgg_type} has no layer {layer!r}; it has {", ".join(known)}')
        return self


class GANLossOptions(OptionSection):
    """What D and G are told of each other (BasicSR's)."""

    type: Literal['GANLoss']
    """`GANLoss`"""
    gan_type: Literal['vanilla', 'lsgan', 'wgan', 'wgan_softplus', 'hinge']
    """Form of the loss; the reference's is `hinge`."""
    real_label_val: Number = 1.0
    """What D should say of real pictures (`vanilla` and `lsgan`)."""
    fake_label_val: Number = 0.0
    """What D should say of made ones."""
    loss_weight: Number = 1.0
    """Factor of G's part; D's has none."""


BASICSR_LOSSES: dict[str, type[OptionSection]] = {
    'L1Loss': L1LossOptions,
    'MSELoss': MSELossOptions,
    'CharbonnierLoss': CharbonnierLossOptions,
    'PerceptualLoss': PerceptualLossOptions,
    'GANLoss': GANLossOptions,
}
"""``type`` -> the section."""
