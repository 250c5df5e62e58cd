"""What every ``datasets`` section of our types may say to BasicSR's loaders, and where its pictures are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import Self

from b2b_basicsr.options.section import (
    Count,
    CropSide,
    Flag,
    FolderName,
    Number,
    OptionSection,
    PathText,
    Positive,
    PositiveCount,
    Text,
    Whole,
)

MAX_REPLACED = 100


def name_template(text: str) -> str:
    """What BasicSR formats with the name of a sharp picture.

    Raises:
        ValueError: if that could fail: it has not one plain ``{}``, or other braces.
    """
    if text.count('{}') != 1 or any(brace in text.replace('{}', '') for brace in '{}'):
        raise ValueError('must hold {} once, as {}_blur does, and no other braces')
    return text


NameTemplate = Annotated[
    Text, Field(json_schema_extra={'pattern': r'^[^{}]*\{\}[^{}]*$'}), AfterValidator(name_template)
]

Workers = Annotated[Whole, Field(ge=0, le=1024)]


Channels = Annotated[list[Number], Field(json_schema_extra={'minItems': 3, 'maxItems': 3})]
EnlargeRatio = Annotated[Positive, Field(le=100_000)]  # the order of a whole epoch is in memory


def _refuse_other_channels(mean: Sequence[float] | None, std: Sequence[float] | None, color: str | None) -> None:
    wanted = 1 if color == 'y' else 3
    for key, numbers in (('mean', mean), ('std', std)):
        if numbers is not None and len(numbers) != wanted:
            raise ValueError(f'{key}: {len(numbers)} numbers; give {wanted}, one for each channel')
    if (mean is None) != (std is None):
        there, missing = ('mean', 'std') if std is None else ('std', 'mean')
        raise ValueError(f'{there}: needs {missing}, too')
    if std is not None and min(std) <= 0:
        raise ValueError('std: must be above 0 in each channel')


class IoBackend(OptionSection):
    """``io_backend``: how pictures are stored."""

    type: Literal['disk', 'lmdb']
    """Files in folders (`disk`), or a database as BasicSR makes them (`lmdb`)."""

    # What BasicSR's data sets add themselves.
    db_paths: SkipJsonSchema[Any] = None
    """BasicSR's own."""
    client_keys: SkipJsonSchema[Any] = None
    """BasicSR's own."""


class LoaderOptions(OptionSection):
    """Keys of BasicSR's loaders."""

    io_backend: IoBackend
    """How pictures are stored."""
    batch_size_per_gpu: PositiveCount
    """Pictures of each set in a batch, for each GPU."""
    num_worker_per_gpu: Workers = 0
    """Processes that load pictures, for each GPU; 0: the training's own."""
    dataset_enlarge_ratio: EnlargeRatio = 1
    """How many times an epoch passes over the pictures: for few of them, so that epochs are not over at once."""
    prefetch_mode: Literal['cpu', 'cuda'] | None = None
    """Load ahead: in a thread (`cpu`), or onto the GPU (`cuda`); `~`: no."""
    num_prefetch_queue: PositiveCount = 1
    """Batches that `prefetch_mode: cpu` keeps ready."""
    pin_memory: Flag = False
    """Load into memory that is copied to a GPU faster; `prefetch_mode: cuda` needs it."""
    persistent_workers: Flag = False
    """Keep the loading processes from epoch to epoch."""
    max_replaced: Count = MAX_REPLACED
    """How often in all, while the training runs, another picture may stand in for one that cannot be read any longer,
    before the training ends."""

    # Set by BasicSR's parser.
    phase: SkipJsonSchema[Text] = 'train'
    """BasicSR's own."""
    scale: SkipJsonSchema[Whole | None] = None
    """BasicSR's own."""

    @property
    def backend(self) -> dict[str, Any]:
        """``io_backend`` as BasicSR takes it."""
        return self.io_backend.model_dump(exclude_none=True)

    @model_validator(mode='after')
    def _workers_to_keep(self) -> Self:
        if self.persistent_workers and self.num_worker_per_gpu == 0:
            raise ValueError('persistent_workers: needs num_worker_per_gpu of at least 1')
        if self.prefetch_mode == 'cuda' and not self.pin_memory:
            raise ValueError('prefetch_mode: cuda needs pin_memory: true')
        return self


class PictureSetOptions(OptionSection):
    """``datasets: val`` and ``test_1``: pictures that are read whole."""

    name: FolderName
    """Results are logged and kept under it."""
    dataroot_lq: PathText
    """Folder of the blurry pictures, at any depth; or an LMDB."""
    io_backend: IoBackend
    """How pictures are stored."""
    mean: Channels | None = None
    """Subtracted from each channel, before anything else; with `std`."""
    std: Channels | None = None
    """What each channel is divided by then, above 0."""
    color: Literal['rgb', 'y'] | None = None
    """`y`: luma alone, for other models than ours, whose networks take three channels."""
    pin_memory: Flag = False
    """As in training."""
    prefetch_mode: Literal['cpu', 'cuda'] | None = None
    """As in training."""
    num_prefetch_queue: PositiveCount = 1
    """As in training."""
    persistent_workers: Flag = False
    """As in training."""
    num_worker_per_gpu: Workers = 0
    """For training alone; BasicSR validates without."""
    batch_size_per_gpu: PositiveCount = 1
    """For training alone; BasicSR validates picture by picture."""

    phase: SkipJsonSchema[Text] = 'val'
    """BasicSR's own."""
    scale: SkipJsonSchema[Whole | None] = None
    """BasicSR's own."""

    @model_validator(mode='after')
    def _a_number_for_each_channel(self) -> Self:
        _refuse_other_channels(self.mean, self.std, self.color)
        return self


class SingleFolderOptions(PictureSetOptions):
    """Pictures without ground truth, at any depth."""

    type: Literal['SingleFolderDataset']
    """`SingleFolderDataset`"""
    meta_info_file: SkipJsonSchema[PathText | None] = None
    """Not for folders within folders; the data set says why."""


class SingleImageOptions(PictureSetOptions):
    """Pictures without ground truth in one folder (BasicSR's)."""

    model_config = ConfigDict(extra='ignore')

    type: Literal['SingleImageDataset']
    """`SingleImageDataset`"""
    meta_info_file: PathText | None = None
    """A text file with a name of a picture in each line; `~`: all of the folder."""


class _PairedOptions(PictureSetOptions):
    dataroot_gt: PathText
    """Folder of the sharp pictures; or an LMDB."""
    gt_size: CropSide | None = None
    """For training alone."""
    use_hflip: Flag = False
    """For training alone."""
    use_rot: Flag = False
    """For training alone."""
    dataset_enlarge_ratio: EnlargeRatio = 1
    """For training alone."""


class PairedFolderOptions(_PairedOptions):
    """Blurry pictures and their sharp twins, matched by relative path without extension, at any depth."""

    type: Literal['PairedFolderDataset']
    """`PairedFolderDataset`"""
    meta_info_file: SkipJsonSchema[PathText | None] = None
    """Not for folders within folders; the data set says why."""


class PairedImageOptions(_PairedOptions):
    """Blurry pictures and their sharp twins in two folders, matched by name (BasicSR's)."""

    model_config = ConfigDict(extra='ignore')

    type: Literal['PairedImageDataset']
    """`PairedImageDataset`"""
    meta_info_file: PathText | None = None
    """A text file with a name of a sharp picture in each line; `~`: all of the folder."""
    filename_tmpl: NameTemplate = '{}'
    """Name of the blurry picture, without extension, by that of the sharp one, as `{}_blur`."""


class _PairedTrainOptions(LoaderOptions):
    name: Text = 'train'
    """What the log calls it."""
    dataroot_lq: PathText
    """Folder of the blurry pictures; or an LMDB."""
    dataroot_gt: PathText
    """Folder of the sharp pictures; or an LMDB."""
    gt_size: CropSide
    """Side of the random crop in pixels."""
    use_hflip: Flag = False
    """Mirror some pairs."""
    use_rot: Flag = False
    """Turn some pairs by 90 degrees, or flip them upside down."""
    mean: Channels | None = None
    """Subtracted from each channel, before anything else; with `std`."""
    std: Channels | None = None
    """What each channel is divided by then, above 0."""
    color: Literal['rgb', 'y'] | None = None
    """`y`: luma alone, for other models than ours, whose networks take three channels."""

    @model_validator(mode='after')
    def _a_number_for_each_channel(self) -> Self:
        _refuse_other_channels(self.mean, self.std, self.color)
        return self


class PairedFolderTrainOptions(_PairedTrainOptions):
    """``datasets: train`` of DeblurModel and KernelWizardModel: pairs, matched by relative path, at any depth."""

    type: Literal['PairedFolderDataset']
    """`PairedFolderDataset`"""
    meta_info_file: SkipJsonSchema[PathText | None] = None
    """Not for folders within folders; the data set says why."""


class PairedImageTrainOptions(_PairedTrainOptions):
    """``datasets: train`` of DeblurModel and KernelWizardModel: pairs in two folders (BasicSR's)."""

    model_config = ConfigDict(extra='ignore')

    type: Literal['PairedImageDataset']
    """`PairedImageDataset`"""
    meta_info_file: PathText | None = None
    """A text file with a name of a sharp picture in each line; `~`: all of the folder."""
    filename_tmpl: NameTemplate = '{}'
    """Name of the blurry picture, without extension, by that of the sharp one, as `{}_blur`."""
