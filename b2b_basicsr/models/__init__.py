"""Models. Importing this package registers them in BasicSR's ``MODEL_REGISTRY``."""

from b2b_basicsr.models.blur2blur_model import Blur2BlurModel
from b2b_basicsr.models.lr_scheduler import LinearDecayLR

__all__ = ['Blur2BlurModel', 'LinearDecayLR']
