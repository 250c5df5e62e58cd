"""A content loss that needs no trained weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F


@LOSS_REGISTRY.register()
class RandomFeatureLoss(nn.Module):
    """L1 between features of a convolutional network whose weights are random, fixed and seeded.

    Random features keep structure in place without forbidding the blur to move, as VGG's do, though less well: they
    know no textures. They cost no download (torchvision's VGG16 is half a gigabyte) and a fraction of VGG16's time.
    The paper's loss is VGG16's; use that where its weights can be had.

    Saxe et al., "On random weights and unsupervised feature learning", ICML 2011; He initialisation.

    Args:
        loss_weight: factor of the whole.
        num_feat: channels of the first stage, 64 in VGG16; each further stage has twice as many.
        num_conv: 3x3 convolutions with ReLU of each stage; stages are joined by 2x2 maximum pooling, as in VGG16,
            whose first three stages the default has.
        seed: of the weights. Another seed is another loss.

    Raises:
        ValueError: if ``num_feat`` or an entry of ``num_conv`` is less than 1.

    Example:
        >>> loss = RandomFeatureLoss()
        >>> picture = torch.rand(2, 3, 32, 32)
        >>> float(loss(picture, picture))
        0.0
    """

    def __init__(
        self,
        loss_weight: float = 1.0,
        num_feat: Annotated[int, Field(ge=1, le=128)] = 16,
        num_conv: Annotated[Sequence[Annotated[int, Field(ge=1, le=8)]], Field(min_length=1, max_length=5)] = (2, 2, 3),
        seed: Annotated[int, Field(ge=0, lt=2**63)] = 0,
    ) -> None:
        super().__init__()
        if num_feat < 1 or not num_conv or min(num_conv) < 1:
            raise ValueError(f'num_feat is {num_feat} and num_conv {list(num_conv)}; each number must be 1 or more')
        self.loss_weight = loss_weight
        generator = torch.Generator().manual_seed(seed)
        self.stages = nn.ModuleList()
        channels = 3
        for stage, count in enumerate(num_conv):
            layers: list[nn.Module] = []
            for _ in range(count):
                convolution = nn.Conv2d(channels, num_feat * 2**stage, 3, padding=1)
                draw = torch.randn(convolution.weight.shape, generator=generator)
                convolution.weight.data.copy_(draw * (2 / (9 * channels)) ** 0.5)
                convolution.bias.data.zero_()  # type: ignore[union-attr]
                layers += [convolution, nn.ReLU()]
                channels = convolution.out_channels
            self.stages.append(nn.Sequential(*layers))
        self.requires_grad_(False)

    def features(self, picture: Tensor) -> list[Tensor]:
        """Each stage's features of a picture [n, 3, h, w] in [0, 1]: [n, num_feat * 2^i, h / 2^i, w / 2^i]."""
        found: list[Tensor] = []
        for stage in self.stages:
            found.append(stage(F.max_pool2d(found[-1], 2) if found else picture))
        return found

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Compares two pictures [n, 3, h, w] in [0, 1]; the mean over the stages of the mean difference.

        Height and width must be 2^(stages - 1) at least. No gradient flows to the target.
        """
        with torch.no_grad():
            wanted = self.features(target)
        terms = [F.l1_loss(found, goal) for found, goal in zip(self.features(pred), wanted, strict=True)]
        return self.loss_weight * torch.stack(terms).mean()
