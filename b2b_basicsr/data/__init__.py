"""Data sets and what they are made of. Importing this package registers them in BasicSR's ``DATASET_REGISTRY``."""

import basicsr  # noqa: F401  before our modules: its import registers them all, and none may be half-way then

from b2b_basicsr.data.camera_shake import CameraShake
from b2b_basicsr.data.crop_augmentation import CropAugmentation
from b2b_basicsr.data.frame_mean import FrameMean
from b2b_basicsr.data.paired_folder_dataset import PairedFolderDataset
from b2b_basicsr.data.positioned_sampler import PositionedSampler
from b2b_basicsr.data.sample_key import SampleKey
from b2b_basicsr.data.single_folder_dataset import SingleFolderDataset
from b2b_basicsr.data.unpaired_blur_dataset import UnpairedBlurDataset

__all__ = [
    'CameraShake',
    'CropAugmentation',
    'FrameMean',
    'PairedFolderDataset',
    'PositionedSampler',
    'SampleKey',
    'SingleFolderDataset',
    'UnpairedBlurDataset',
]
