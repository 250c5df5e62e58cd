"""Unpaired pictures for Blur2Blur: B, S and known blur."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from basicsr.utils.registry import DATASET_REGISTRY
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from b2b_basicsr.data.crop_augmentation import CropAugmentation
from b2b_basicsr.data.picture_source import PictureSource, matched_pairs
from b2b_basicsr.data.positioned_sampler import PositionedSampler
from b2b_basicsr.data.random_crop import RandomCrop, resized
from b2b_basicsr.data.sample_key import SampleKey
from b2b_basicsr.data.unpaired_blur_options import UnpairedBlurOptions
from b2b_basicsr.errors import UserError

_SECTION = 'datasets:train'
_PICTURES_DECODED_AHEAD = 256

Picture = NDArray[np.float32]


def _as_floats(levels: NDArray[np.uint8]) -> Picture:
    return levels.astype(np.float32) / np.float32(255)


class _Orientation:
    """One draw of BasicSR's flips and turns, for any number of pictures."""

    def __init__(self, hflip: bool, rot: bool, generator: np.random.Generator) -> None:
        draws = generator.random(3) < 0.5
        self.hflip, self.vflip, self.turn = hflip and draws[0], rot and draws[1], rot and draws[2]

    def apply(self, picture: NDArray[Any]) -> NDArray[Any]:
        if self.hflip:
            picture = picture[:, ::-1]
        if self.vflip:
            picture = picture[::-1]
        return picture.transpose(1, 0, 2) if self.turn else picture


@DATASET_REGISTRY.register()
class UnpairedBlurDataset(Dataset[dict[str, Any]]):
    """Blurry pictures B of a camera, sharp pictures S of it, and pictures with known blur.

    An epoch is one pass over B; the other sets are drawn at random beside it. Blur2Blur (CVPR 2024), section 3.

    Every random choice about a sample is a function of ``manual_seed``, the epoch and the sample's place in it,
    whatever the number of workers. :class:`PositionedSampler` hands these over; a plain integer index stands for
    seed 0, epoch 0 and the place of that number.

    Args:
        opt: the ``datasets: train`` section (keys of BasicSR's loader besides):

            - ``dataroot_blur``: B; ``dataroot_sharp``: S. Folders, nested to any depth, or LMDBs.
            - exactly one source of known blur: ``dataroot_known`` (K ready-made, at S's scale),
              ``dataroot_known_blur`` with ``dataroot_known_sharp`` (C' and D', matched by relative path without
              extension; needs ``network_k``), or ``synth_known_opt`` (K made from S, see :class:`CameraShake`).
            - ``ratio``: for B and S from one list: B keeps the first floor(ratio * n), S the rest. ``~`` keeps all.
            - ``resize``: shorter side of B, S and ready-made K, antialiased bicubic as Pillow's. ``~`` leaves them.
            - ``gt_size``: side of the random crop. ``use_hflip``, ``use_rot``: as in BasicSR. Known pictures are
              turned too, K from ``synth_known_opt`` before it is blurred.
            - ``augment_opt``: variation of crops for those with few pictures, see :class:`CropAugmentation`.
            - ``io_backend``: ``{type: disk}`` or ``{type: lmdb}``.

    Raises:
        UserError: if a key is wrong, a folder missing or empty, or pairs do not match.

    A sample holds ``lq`` (B), ``sharp`` (S, where given), and ``known`` or ``known_blur`` and ``known_sharp``: float32
    RGB tensors [3, gt_size, gt_size] in [0, 1], and the path of each as ``lq_path`` and so on.
    """

    sampler_class = PositionedSampler

    def __init__(self, opt: Mapping[str, Any]) -> None:
        self.opt = opt
        self.settings = UnpairedBlurOptions.from_options(_SECTION, opt)
        self._augmentation = self.settings.augment_opt or CropAugmentation()
        self.blur = self._source('dataroot_blur', first_share=True)
        self.sharp = self._source('dataroot_sharp', first_share=False) if self.settings.dataroot_sharp else None
        self.known = self._source('dataroot_known') if self.settings.dataroot_known else None
        self.known_blur: PictureSource | None = None
        self.known_sharp: PictureSource | None = None
        self._known_pairs: list[tuple[int, int]] = []
        if self.settings.dataroot_known_blur:
            self.known_blur, self.known_sharp = (
                self._source('dataroot_known_blur'),
                self._source('dataroot_known_sharp'),
            )
            self._known_pairs = matched_pairs(self.known_blur, self.known_sharp)

    def _source(self, key: str, first_share: bool | None = None) -> PictureSource:
        source = PictureSource(f'{_SECTION}:{key}', getattr(self.settings, key), self.settings.io_backend)
        if first_share is not None:
            whole = len(source)
            source.names = self.settings.share(source.names, first_share)
            if not source.names:
                raise UserError(
                    f'{_SECTION}:ratio: {self.settings.ratio} of {whole} pictures leaves none in {key}; set it to ~ '
                    'where B and S are apart already'
                )
        return source

    @property
    def sources(self) -> dict[str, PictureSource]:
        """The sets in use by the name of their pictures in a sample."""
        named = {
            'lq': self.blur,
            'sharp': self.sharp,
            'known': self.known,
            'known_blur': self.known_blur,
            'known_sharp': self.known_sharp,
        }
        return {name: source for name, source in named.items() if source is not None}

    def __len__(self) -> int:
        return len(self.blur)

    def __getitem__(self, key: SampleKey | int) -> dict[str, Any]:
        if not isinstance(key, SampleKey):
            key = SampleKey(picture=key, seed=0, epoch=0, position=key)
        sample = self._unpaired('lq', self.blur, key, key.picture)
        if self.sharp is not None:
            sample |= self._from_sharp(self.sharp, key)
        if self.known is not None:
            sample |= self._unpaired('known', self.known, key)
        if self.known_blur is not None and self.known_sharp is not None:
            sample |= self._known_pair(self.known_blur, self.known_sharp, key)
        return sample

    def _place(self, source: PictureSource, size: tuple[int, int], generator: np.random.Generator) -> RandomCrop:
        """Draws the scale (for B and S) and the place of the crop."""
        settings = self.settings
        base = resized(size, settings.resize)
        if source is self.blur or source is self.sharp:
            scale = max(self._augmentation.draw_scale(generator), settings.gt_size / min(base))
            base = resized(size, settings.resize, scale)
        return RandomCrop.draw(base, settings.gt_size, generator)

    def _too_small(self, option_key: str, path: str, size: tuple[int, int]) -> str:
        return (
            f'{option_key}: {path} measures {size[0]}x{size[1]}, smaller than the crop, gt_size '
            f'{self.settings.gt_size}; take it out, lower gt_size, or set resize'
        )

    def _crop(
        self, source: PictureSource, index: int, generator: np.random.Generator, margin: int = 0
    ) -> NDArray[np.uint8]:
        """A random crop of one picture with ``margin`` around it, turned at random."""
        picture = source.read(index)
        if self.settings.resize is None and min(picture.size) < self.settings.gt_size:
            raise UserError(self._too_small(source.option_key, source.path(index), picture.size))
        crop = self._place(source, picture.size, generator)
        return self._orientation(generator).apply(crop.cut(picture, margin))

    def _orientation(self, generator: np.random.Generator) -> _Orientation:
        return _Orientation(self.settings.use_hflip, self.settings.use_rot, generator)

    def _unpaired(self, name: str, source: PictureSource, key: SampleKey, index: int | None = None) -> dict[str, Any]:
        generator = key.generator(name)
        if index is None:
            index = int(generator.integers(len(source)))
        picture = self._augmentation.recolour(_as_floats(self._crop(source, index, generator)), generator)
        return {name: _as_tensor(picture), f'{name}_path': source.path(index)}

    def _from_sharp(self, source: PictureSource, key: SampleKey) -> dict[str, Any]:
        """S, and where ``synth_known_opt`` stands, K from the same crop of it."""
        shake = self.settings.synth_known_opt
        if shake is None:
            return self._unpaired('sharp', source, key)
        generator = key.generator('sharp')
        index = int(generator.integers(len(source)))
        wide = np.ascontiguousarray(self._crop(source, index, generator, shake.margin))
        inside = np.s_[shake.margin : -shake.margin, shake.margin : -shake.margin]
        pictures = {'sharp': _as_floats(wide[inside]), 'known': shake.blur(wide, key.generator('shake'))[inside]}
        sample: dict[str, Any] = {}
        for name, picture in pictures.items():
            # The same colours for both: K is this very crop, blurred.
            recoloured = self._augmentation.recolour(picture, key.generator('colours'))
            sample |= {name: _as_tensor(recoloured), f'{name}_path': source.path(index)}
        return sample

    def _known_pair(self, blur: PictureSource, sharp: PictureSource, key: SampleKey) -> dict[str, Any]:
        """C' and D' at their native size, cropped, turned and coloured alike."""
        generator = key.generator('known')
        blur_index, sharp_index = self._known_pairs[int(generator.integers(len(self._known_pairs)))]
        blurred, clear = blur.read(blur_index), sharp.read(sharp_index)
        if blurred.size != clear.size:
            raise UserError(_sizes_differ(blur, blur_index, blurred.size, clear.size))
        if min(blurred.size) < self.settings.gt_size:
            raise UserError(self._too_small(blur.option_key, blur.path(blur_index), blurred.size))
        crop = RandomCrop.draw(blurred.size, self.settings.gt_size, generator)
        orientation = self._orientation(generator)
        sample: dict[str, Any] = {}
        for name, source, index, picture in (
            ('known_blur', blur, blur_index, blurred),
            ('known_sharp', sharp, sharp_index, clear),
        ):
            levels = _as_floats(orientation.apply(crop.cut(picture)))
            recoloured = self._augmentation.recolour(levels, key.generator('colours'))
            sample |= {name: _as_tensor(recoloured), f'{name}_path': source.path(index)}
        return sample

    def check_pictures(self, progress: Callable[[Iterator[None], int], Iterator[None]] | None = None) -> None:
        """Reads every picture's size from its header, and decodes some of each set, evenly spread (256 at most).

        Args:
            progress: wraps the checks, given with their number; shows how far they are.

        Raises:
            UserError: naming the first picture, in the order of the sets, that cannot be read or is too small.
        """
        checks: list[Callable[[], None]] = []
        for name, source in self.sources.items():
            checks += [self._size_check(name, source, index) for index in range(len(source))]
            stride = max(1, len(source) // _PICTURES_DECODED_AHEAD)
            checks += [self._decode_check(source, index) for index in range(0, len(source), stride)]
        if self.known_blur is not None and self.known_sharp is not None:
            checks += [_pair_check(self.known_blur, self.known_sharp, pair) for pair in self._known_pairs]
        with ThreadPoolExecutor() as pool:
            results: Iterator[None] = pool.map(lambda check: check(), checks)
            for _ in progress(results, len(checks)) if progress else results:
                pass

    def _size_check(self, name: str, source: PictureSource, index: int) -> Callable[[], None]:
        def check() -> None:
            size = source.size(index)
            resize = None if name.startswith('known_') else self.settings.resize
            if min(resized(size, resize)) < self.settings.gt_size:
                raise UserError(self._too_small(source.option_key, source.path(index), size))

        return check

    def _decode_check(self, source: PictureSource, index: int) -> Callable[[], None]:
        def check() -> None:
            source.read(index)

        return check


def _as_tensor(picture: Picture) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def _sizes_differ(blur: PictureSource, index: int, first: tuple[int, int], second: tuple[int, int]) -> str:
    return (
        f'{blur.option_key}: {blur.path(index)} measures {first[0]}x{first[1]}, its sharp twin '
        f'{second[0]}x{second[1]}; pairs must be of one size'
    )


def _pair_check(blur: PictureSource, sharp: PictureSource, pair: tuple[int, int]) -> Callable[[], None]:
    def check() -> None:
        sizes = blur.size(pair[0]), sharp.size(pair[1])
        if sizes[0] != sizes[1]:
            raise UserError(_sizes_differ(blur, pair[0], *sizes))

    return check
