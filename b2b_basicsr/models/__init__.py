"""Models. Importing this package registers them in BasicSR's ``MODEL_REGISTRY``."""

# First, and whole: importing it imports all of ours, which it must not find half imported.
import basicsr  # noqa: F401

from b2b_basicsr.models.blur2blur_model import Blur2BlurModel
from b2b_basicsr.models.deblur_model import DeblurModel
from b2b_basicsr.models.kernel_wizard_model import KernelWizardModel
from b2b_basicsr.models.lr_scheduler import ConstantCosineLR, LinearDecayLR

__all__ = ['Blur2BlurModel', 'ConstantCosineLR', 'DeblurModel', 'KernelWizardModel', 'LinearDecayLR']
