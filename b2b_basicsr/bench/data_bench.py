"""What a picture costs a data worker: from file to tensor, in one thread."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from b2b_basicsr.bench.timing_table import Table, Value
from b2b_basicsr.bench.turns import Form, Measured, Turn, run_in_turns
from b2b_basicsr.demo.photographs import BLURRY, HELD_OUT, SHARP

Kind = Literal['jpeg', 'png']
KINDS: tuple[Kind, ...] = ('jpeg', 'png')

PLAIN = 'plain PIL and torchvision'
DECODING = 'decoding alone, PIL'

_SIZE = (1280, 720)
_SHORTER_SIDE = 512
_CROP = 256
_SUB_IMAGE, _STEP = 480, 240
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class DataBench:
    """What is measured.

    Args:
        kinds: of files.
        count: pictures a turn, an even number.
        photos: folder of pictures to make the files of; ``None``: photographs that come in packages.
    """

    kinds: tuple[Kind, ...] = KINDS
    count: int = 48
    photos: Path | None = None

    def measure(self, rounds: int, progress: bool = True) -> Iterator[Table]:
        """Runs the forms in turn, kind by kind.

        Yields:
            A table for each kind of files, as soon as it is measured.

        Raises:
            UserError: if a photograph cannot be read.
        """
        with tempfile.TemporaryDirectory(prefix='b2b_bench_') as folder:
            for kind in self.kinds:
                forms = bench_forms(kind, self.photographs(), Path(folder), self.count)
                measured = run_in_turns([form.form for form in forms], rounds, progress=progress)
                yield self._table(kind, forms, measured)

    def photographs(self) -> Iterator[Image.Image]:
        """RGB pictures of 1280x720, ``count`` at most: scaled until they fill it, and cut about their centres."""
        found = _own(self.photos, self.count) if self.photos else _from_packages()
        for picture in itertools.islice(found, self.count):
            yield ImageOps.fit(picture, _SIZE, Image.Resampling.BICUBIC)

    def _table(self, kind: Kind, forms: Sequence[BenchForm], measured: Sequence[Measured]) -> Table:
        plain = measured[0]
        rows: list[dict[str, Value]] = [
            {
                'form': found.name,
                'ms/picture': 1000 * found.median / self.count,
                'spread %': 100 * found.spread,
                'pictures/s/core': self.count / found.median,
                'x plain': found.times_faster_than(plain),
                'KB/file': form.bytes_a_file / 1000,
                'peak MB': None if found.peak_bytes is None else found.peak_bytes / 1e6,
                'failure': found.failure or '',
            }
            for form, found in zip(forms, measured, strict=True)
        ]
        return Table(
            f'A picture: {kind.upper()} of {_SIZE[0]}x{_SIZE[1]}, shorter side to {_SHORTER_SIDE}, crop {_CROP}, flip, '
            f'to a float tensor; one thread, {self.count} pictures a turn',
            rows,
        )


@dataclass(frozen=True)
class BenchForm:
    """A form, and what its files take."""

    form: Form
    bytes_a_file: float


def bench_forms(kind: Kind, photographs: Iterable[Image.Image], folder: Path, count: int) -> list[BenchForm]:
    """Writes the files of a kind and says what is done with them; the first form is the plain one.

    Args:
        kind: of the files.
        photographs: RGB, 1280x720.
        folder: where folders and databases are made.
        count: pictures a turn, an even number.
    """
    pictures = list(photographs)
    whole = _write(folder / kind, pictures, 'jpg' if kind == 'jpeg' else 'png')
    drawn = _drawn(whole, count)
    forms = [
        BenchForm(Form(PLAIN, start_plain, (drawn,), threads=1), _mean_bytes(whole)),
        BenchForm(Form(DECODING, start_decoding, (drawn,)), _mean_bytes(whole)),
    ]
    sets: dict[str, tuple[Path, int | None]] = {
        'UnpairedBlurDataset, files': (whole, _SHORTER_SIDE),
        'UnpairedBlurDataset, LMDB': (_as_lmdb(whole), _SHORTER_SIDE),
    }
    sizes = [_mean_bytes(whole)] * 2
    if kind == 'png':
        uncompressed = _write(folder / 'uncompressed', pictures, 'ppm')
        sub_images = _write(folder / 'sub_images', itertools.chain.from_iterable(map(_sub_images, pictures)), 'png')
        raw_sub_images = _write(folder / 'raw', itertools.chain.from_iterable(map(_sub_images, pictures)), 'ppm')
        sets['uncompressed (PPM), LMDB'] = _as_lmdb(uncompressed), _SHORTER_SIDE
        sets['480x480 sub-images, PNG files'] = sub_images, None
        sets['480x480 sub-images, uncompressed, LMDB'] = _as_lmdb(raw_sub_images), None
        sizes += map(_mean_bytes, (uncompressed, sub_images, raw_sub_images))
    return forms + [
        BenchForm(Form(name, start_data_set, (root, resize, count), threads=1), size)
        for (name, (root, resize)), size in zip(sets.items(), sizes, strict=True)
    ]


def start_plain(files: Sequence[Path]) -> Turn:
    """The common pipeline: every step by Pillow and torchvision, on the whole picture."""
    from torchvision import transforms

    to_tensor = transforms.Compose(
        [
            transforms.Resize(_SHORTER_SIDE, transforms.InterpolationMode.BICUBIC, antialias=True),
            transforms.RandomCrop(_CROP),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
        ]
    )

    def turn() -> None:
        for file in files:
            with Image.open(file) as picture:
                to_tensor(picture.convert('RGB'))

    return turn


def start_decoding(files: Sequence[Path]) -> Turn:
    """Pillow's decoding of whole pictures, which every pipeline without a decoder of its own must do."""

    def turn() -> None:
        for file in files:
            with Image.open(file) as picture:
                picture.load()

    return turn


def start_data_set(root: Path, resize: int | None, count: int) -> Turn:
    """Samples of two pictures each, B and a ready-made K, as a data worker makes them; the same ones every turn."""
    import cv2

    cv2.setNumThreads(0)  # as in a worker
    samples = _samples(root, resize, count)

    def turn() -> None:
        for _ in samples():
            pass

    return turn


def _samples(root: Path, resize: int | None, count: int) -> Callable[[], Iterator[dict[str, Any]]]:
    from b2b_basicsr.data.sample_key import SampleKey
    from b2b_basicsr.data.unpaired_blur_dataset import UnpairedBlurDataset

    options: Mapping[str, Any] = {
        'type': 'UnpairedBlurDataset',
        'dataroot_blur': str(root),
        'dataroot_known': str(root),
        'resize': resize,
        'gt_size': _CROP,
        'io_backend': {'type': 'lmdb' if root.suffix == '.lmdb' else 'disk'},
        'batch_size_per_gpu': 1,
    }
    dataset = UnpairedBlurDataset(options)

    def samples() -> Iterator[dict[str, Any]]:
        for position in range(count // 2):
            yield dataset[SampleKey(position % len(dataset), seed=0, epoch=0, position=position)]

    return samples


def _drawn(folder: Path, count: int) -> list[Path]:
    """The files of the data set's pictures, for the forms beside it: B comes in turn, K at random."""
    samples = _samples(folder, _SHORTER_SIDE, count)()
    return [Path(sample[path]) for sample in samples for path in ('lq_path', 'known_path')]


def _own(folder: Path, most: int) -> Iterator[Image.Image]:
    from b2b_basicsr.data.picture_source import PictureSource

    source = PictureSource('--photos', str(folder), {'type': 'disk'})
    return map(source.read, range(0, len(source), math.ceil(len(source) / most)))


def _from_packages() -> Iterator[Image.Image]:
    for name, photograph in {**SHARP, **BLURRY, **HELD_OUT}.items():
        if name not in _NO_PHOTOGRAPHS:
            with suppress(ImportError):  # scikit-learn brings some, and is not required
                yield Image.fromarray(photograph())


_NO_PHOTOGRAPHS = ('hubble', 'immunohistochemistry')
"""Of a telescope and a microscope: they are not what cameras give."""


def _sub_images(photograph: Image.Image) -> Iterator[Image.Image]:
    """Overlapping squares of the picture resized, as BasicSR's extract_subimages cuts them."""
    width, height = photograph.size
    size = int(width * _SHORTER_SIDE / height), _SHORTER_SIDE
    levels: NDArray[np.uint8] = np.asarray(photograph.resize(size, Image.Resampling.BICUBIC))
    for top in _starts(size[1]):
        for left in _starts(size[0]):
            yield Image.fromarray(levels[top : top + _SUB_IMAGE, left : left + _SUB_IMAGE])


def _starts(length: int) -> list[int]:
    last = length - _SUB_IMAGE
    return sorted({*range(0, last + 1, _STEP), last})


def _write(folder: Path, pictures: Iterable[Image.Image], extension: str) -> Path:
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        picture.save(folder / f'{number:05}.{extension}', quality=_JPEG_QUALITY)  # only JPEG has one
    return folder


def _as_lmdb(folder: Path) -> Path:
    from b2b_basicsr.prepare.picture_lmdb import write_picture_lmdb

    database = folder.with_name(f'{folder.name}.lmdb')
    write_picture_lmdb(folder, database, lambda _written: None)
    return database


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _mean_bytes(folder: Path) -> float:
    sizes = [file.stat().st_size for file in _files(folder)]
    return sum(sizes) / len(sizes)
