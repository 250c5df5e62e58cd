"""The option sections of Blur2BlurModel."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator
from typing_extensions import Self

from b2b_basicsr.models.optimizer_options import OptimizerOptions
from b2b_basicsr.models.training_options import (
    BasePathOptions,
    BaseTrainOptions,
    LossSection,
    WeightOptions,
)
from b2b_basicsr.options.section import Count, Flag, PathText, PositiveCount, Text


class TrainOptions(BaseTrainOptions):
    """``train``."""

    optim_d: OptimizerOptions
    """Optimiser of network_d."""
    perceptual_opt: LossSection | None = None
    """Content: what holds G(x) to x. One of the three is needed."""
    pixel_opt: LossSection | None = None
    """Content, too."""
    lpips_opt: LossSection | None = None
    """Content, too."""
    identity_opt: LossSection | None = None
    """G leaves K as it is: any loss that may be a content loss, between G(K) and K; `l_g_idt` in the log. Not in the
    reference; `~`: none. G runs on K, too, then. It is no content loss: G(x) is still to be held to x."""
    scales: PositiveCount | None = None
    """How many of G's outputs D judges and losses compare, the largest first; `~`: all, as the reference's three. A
    smaller number saves time, and G learns from the full size alone with 1."""
    gan_opt: LossSection
    """How D and G are set against each other; `GANLoss`."""
    gp_opt: WeightOptions | None = None
    """Gradient penalty on D; `~`: none. The reference's weight is 1e-4."""
    vgg_weights: PathText | None = None
    """VGG's weights for `PerceptualLoss`: `download`, a file of torchvision's, or what torch has downloaded before."""
    net_d_iters: PositiveCount = 1
    """G is trained in one of so many iterations, D in each."""
    net_d_init_iters: Count = 0
    """D is trained alone for so many iterations first."""
    identity_start: Flag = False
    """An untrained G returns its input, which saves the first hundred iterations."""
    accum_iter: PositiveCount = 1
    """A batch is taken in so many parts, in the memory of one; G runs twice."""

    @model_validator(mode='after')
    def _whole(self) -> Self:
        if self.perceptual_opt is None and self.pixel_opt is None and self.lpips_opt is None:
            raise ValueError(
                'no content loss: set at least one of perceptual_opt, pixel_opt and lpips_opt, or G is free to invent'
            )
        return self


class PathOptions(BasePathOptions):
    """``path``."""

    pretrain_network_d: PathText | None = None
    """Weights that network_d starts with."""
    pretrain_network_k: PathText | None = None
    """Weights of network_k, which needs them."""
    pretrain_network_deblur: PathText | None = None
    """Weights of network_deblur, which needs them unless it carries its own."""
    param_key_d: Text | None = 'params'
    """As `param_key_g`."""
    param_key_k: Text | None = 'params'
    """As `param_key_g`."""
    param_key_deblur: Text | None = 'params'
    """As `param_key_g`."""
    strict_load_d: Flag = True
    """As `strict_load_g`."""
    strict_load_k: Flag = True
    """As `strict_load_g`."""
    strict_load_deblur: Flag = True
    """As `strict_load_g`."""


def frozen_sections(options: dict[str, Any]) -> list[str]:
    """The ``network_*`` sections of an option file that are used and never trained.

    ``network_k`` is used in training with known pairs alone; with another source of K it may stand there for later.
    """
    train = (options.get('datasets') or {}).get('train') or {}
    used = {'network_k': train.get('dataroot_known_blur') is not None, 'network_deblur': True}
    return [key for key, is_used in used.items() if is_used and options.get(key)]
