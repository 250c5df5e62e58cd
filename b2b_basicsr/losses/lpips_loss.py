"""LPIPS as a content loss."""

from __future__ import annotations

from typing import Any

from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn
from typing_extensions import Self

from b2b_basicsr.errors import UserError
from b2b_basicsr.losses.lpips_network import SMALLEST_SIDE, LpipsNet, lpips_network


@LOSS_REGISTRY.register()
class LPIPSLoss(nn.Module):
    """Learned perceptual distance of two pictures, averaged over the batch. Zhang et al., CVPR 2018.

    The lpips package's network, version 0.1, frozen. Its ImageNet weights are torchvision's.

    Args:
        loss_weight: factor of the whole.
        net: ``vgg``, which the authors recommend as a loss, ``alex`` or ``squeeze``.
        weights: of the ImageNet network: ``download`` (once, to torch's download folder; VGG16: 528 MB, AlexNet:
            233 MB, SqueezeNet: 5 MB), a file of torchvision's, or ``None`` for what was downloaded before.

    Raises:
        UserError: ``net`` is unknown, or its weights are not there or cannot be downloaded.
    """

    def __init__(self, loss_weight: float = 1.0, net: LpipsNet = 'vgg', weights: str | None = None) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.net = net
        self.lpips = lpips_network(net, weights)

    @staticmethod
    def smallest_side(net: str = 'vgg', **others: Any) -> int:
        """Pixels that the shorter side of a picture must have for a loss of these arguments."""
        return SMALLEST_SIDE[net]

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode: the package's linear layers have dropout."""
        return super().train(False)

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Compares two pictures [n, 3, h, w], RGB in [0, 1]; a scalar, the lower the better.

        No gradient flows to the target.

        Raises:
            UserError: the pictures are smaller than the network's layers can see. (A translator of three scales gives
                one of a quarter of ``gt_size``.)
        """
        smallest = self.smallest_side(self.net)
        if min(pred.shape[-2:]) < smallest:
            raise UserError(
                f'LPIPSLoss: net {self.net} needs pictures of {smallest}x{smallest} at least, but got '
                f'{pred.shape[-1]}x{pred.shape[-2]}; take a larger gt_size'
            )
        distance: Tensor = self.lpips(pred, target.detach(), normalize=True)
        return self.loss_weight * distance.mean()
