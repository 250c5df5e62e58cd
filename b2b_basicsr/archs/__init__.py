"""The networks. Importing this package registers them in BasicSR's ``ARCH_REGISTRY``."""

# First, and whole: importing it imports all of ours, which it must not find half imported.
import basicsr  # noqa: F401

from b2b_basicsr.archs.kernel_wizard_arch import KernelWizard
from b2b_basicsr.archs.mimounet_arch import MIMOUNet, MIMOUNetPlus
from b2b_basicsr.archs.nafnet_arch import NAFNet
from b2b_basicsr.archs.nafnet_local_arch import NAFNetLocal
from b2b_basicsr.archs.patchgan_arch import PatchGANDiscriminator
from b2b_basicsr.archs.restormer_arch import Restormer
from b2b_basicsr.archs.spandrel_arch import SpandrelNet
from b2b_basicsr.archs.unet_arch import UNet

__all__ = [
    'KernelWizard',
    'MIMOUNet',
    'MIMOUNetPlus',
    'NAFNet',
    'NAFNetLocal',
    'PatchGANDiscriminator',
    'Restormer',
    'SpandrelNet',
    'UNet',
]
