"""Losses that BasicSR lacks. Importing this package registers them in BasicSR's ``LOSS_REGISTRY``."""

# First, and whole: importing it imports all of ours, which it must not find half imported.
import basicsr  # noqa: F401

from b2b_basicsr.losses.block_mean_loss import BlockMeanLoss
from b2b_basicsr.losses.gradient_penalty import gradient_penalty
from b2b_basicsr.losses.lpips_loss import LPIPSLoss
from b2b_basicsr.losses.psnr_loss import PSNRLoss
from b2b_basicsr.losses.random_feature_loss import RandomFeatureLoss
from b2b_basicsr.losses.vgg_weights import vgg_weights

__all__ = ['BlockMeanLoss', 'LPIPSLoss', 'PSNRLoss', 'RandomFeatureLoss', 'gradient_penalty', 'vgg_weights']
