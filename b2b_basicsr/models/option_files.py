"""The whole option file of each of our models: what stands at its top level."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from b2b_basicsr.models.blur2blur_options import PathOptions, TrainOptions
from b2b_basicsr.models.deblur_options import DeblurTrainOptions
from b2b_basicsr.models.kernel_wizard_options import KernelTrainOptions
from b2b_basicsr.models.training_options import BasePathOptions, LoggerOptions, TypedSection
from b2b_basicsr.models.val_options import RestorationValOptions, ValOptions
from b2b_basicsr.options.section import Count, Flag, FolderName, OptionSection, Text, Whole


def _one_size(scale: int) -> int:
    if scale != 1:
        raise ValueError('blurry and sharp pictures are of one size: set scale: 1')
    return scale


class NetworkSection(TypedSection):
    """A network: one of those below, or another that is registered."""


class DatasetSection(TypedSection):
    """A data set: one of those below, or another that is registered."""


class DistOptions(OptionSection):
    """``dist_params``: how several processes meet, with `--launcher`."""

    backend: Literal['nccl', 'gloo'] = 'nccl'
    """What carries gradients: `nccl` for GPUs; CPUs take `gloo` in any case."""
    port: Annotated[Whole, Field(ge=1, le=65535)] | None = None
    """Where SLURM's processes meet."""


class OptionFile(OptionSection):
    """What every model of ours has at the top level. Keys that nobody knows are logged, and passed over."""

    model_config = ConfigDict(extra='ignore')

    name: FolderName
    """Of the experiment: `experiments/NAME`, `results/NAME`. With `debug` in it, BasicSR validates and saves every 8
    iterations."""
    scale: Annotated[Whole, AfterValidator(_one_size), Field(json_schema_extra={'const': 1})] = 1
    """Blurry and sharp pictures are of one size."""
    num_gpu: Literal['auto'] | Count
    """`auto`: the GPU, or the CPU where there is none; 0: the CPU. Several GPUs: a process each, see `--launcher`."""
    manual_seed: Annotated[Whole, Field(ge=0, lt=2**32 - 4096)] | None = None
    """All that is random hangs on it; `~`: another one each time."""
    datasets: Annotated[dict[Text, DatasetSection], Field(min_length=1)]
    """`train`, `val`, `val_2`, ...; in a test `test_1`, `test_2`, ..."""
    network_g: NetworkSection
    """The network that is trained."""
    dist_params: DistOptions | None = None
    """How several processes meet."""
    find_unused_parameters: Flag = False
    """For several processes: look for weights without gradient. Ours have none."""


class Blur2BlurFile(OptionFile):
    """An option file of Blur2BlurModel."""

    model_type: Literal['Blur2BlurModel']
    """`Blur2BlurModel`"""
    network_g: NetworkSection
    """G, the blur translator; it gives one picture or three."""
    network_d: NetworkSection | None = None
    """D, the discriminator; training needs it."""
    network_k: NetworkSection | None = None
    """Frozen; carries the blur of known pairs over to S. For source 1 of K alone."""
    network_deblur: NetworkSection | None = None
    """Frozen; the deblurrer, for validation and test. Leave it out, and G(x) itself is scored."""
    path: PathOptions
    """Weights."""
    train: TrainOptions | None = None
    """Training; a test needs it not."""
    val: RestorationValOptions | None = None
    """Validation and test."""
    logger: LoggerOptions | None = None
    """What is logged and saved in training."""


class DeblurFile(OptionFile):
    """An option file of DeblurModel."""

    model_type: Literal['DeblurModel']
    """`DeblurModel`"""
    path: BasePathOptions
    """Weights."""
    train: DeblurTrainOptions | None = None
    """Training; a test needs it not."""
    val: RestorationValOptions | None = None
    """Validation and test."""
    logger: LoggerOptions | None = None
    """What is logged and saved in training."""


class KernelWizardFile(OptionFile):
    """An option file of KernelWizardModel."""

    model_type: Literal['KernelWizardModel']
    """`KernelWizardModel`"""
    path: BasePathOptions
    """Weights."""
    train: KernelTrainOptions | None = None
    """Training; a test needs it not."""
    val: ValOptions | None = None
    """Validation and test."""
    logger: LoggerOptions | None = None
    """What is logged and saved in training."""


OPTION_FILES: dict[str, type[OptionFile]] = {
    'Blur2BlurModel': Blur2BlurFile,
    'DeblurModel': DeblurFile,
    'KernelWizardModel': KernelWizardFile,
}
"""``model_type`` -> the file."""

TOP_LEVEL_KEYS = frozenset(key for file in OPTION_FILES.values() for key in file.model_fields)
