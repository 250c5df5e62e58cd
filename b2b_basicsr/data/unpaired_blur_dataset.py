"""Unpaired pictures for Blur2Blur: B, S and known blur."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol

import torch
from basicsr.utils.registry import DATASET_REGISTRY
from torch.utils.data import Dataset

from b2b_basicsr.data.averaged_crops import AveragedCrops
from b2b_basicsr.data.known_pairs import KnownPairs
from b2b_basicsr.data.picture_checks import Check, Progress, RunChecks, decode_checks, run_checks
from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.data.positioned_sampler import PositionedSampler
from b2b_basicsr.data.replacement import drawn_again
from b2b_basicsr.data.sample_key import SampleKey
from b2b_basicsr.data.shaken_crops import ShakenCrops
from b2b_basicsr.data.training_crops import TrainingCrops
from b2b_basicsr.data.unpaired_blur_options import UnpairedBlurOptions
from b2b_basicsr.data.videos import Videos
from b2b_basicsr.errors import UserError

_SECTION = 'datasets:train'


class _SharpWithKnown(Protocol):
    """Makes a sample's parts ``sharp`` and ``known`` (or what the model makes it of) from S."""

    def sample(self, key: SampleKey) -> dict[str, Any]: ...


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
              extension; needs ``network_k``), ``synth_known_opt`` (K made from S by camera shake, see
              :class:`CameraShake`), or ``frame_mean_opt`` (K the mean of consecutive frames of S, see
              :class:`FrameMean`).
            - ``known_noise_opt``: sensor noise for K of ``dataroot_known`` or of known pairs, see :class:`KnownNoise`.
            - ``ratio``: for B and S from one list: B keeps the first floor(ratio * n), S the rest. ``~`` keeps all.
            - ``resize``: shorter side of B, S and ready-made K, antialiased bicubic as Pillow's. ``~`` leaves them.
            - ``gt_size``: side of the random crop. ``use_hflip``, ``use_rot``: as in BasicSR. Known pictures are
              turned too, K from ``synth_known_opt`` before it is blurred.
            - ``augment_opt``: variation of crops for those with few pictures, see :class:`CropAugmentation`.
            - ``io_backend``: ``{type: disk}`` or ``{type: lmdb}``.

    Raises:
        UserError: if a key is wrong, a folder missing or empty, or pairs do not match.

    A sample holds ``lq`` (B), ``sharp`` (S, where given), and ``known`` or ``known_blur`` and ``known_sharp``: float32
    RGB tensors [3, gt_size, gt_size] in [0, 1], and the path of each as ``lq_path`` and so on. ``epoch`` and
    ``position`` are its place in the training. A picture that cannot be read any longer is replaced by another of its
    set; ``replaced`` says so, one line for each picture, and is empty as a rule.

    With ``synth_known_opt: on_device`` it holds, instead of ``known``, what :meth:`CameraShake.blur_batch` makes it of:
    ``known_base`` (the sharp crop, coloured, with ``CameraShake.margin`` pixels around it: float32 RGB [3, h, w] in
    [0, 1]), ``known_seed`` (int64, a scalar) and ``known_centre`` (float32 [2], x and y of the optical centre in pixels
    of ``known_base``). With ``known_noise_opt`` it holds ``known_seed`` beside ``known`` or the known pair, for
    :meth:`KnownNoise.on_batch`.
    """

    sampler_class = PositionedSampler

    def __init__(self, opt: Mapping[str, Any]) -> None:
        self.opt = opt
        self.settings = settings = UnpairedBlurOptions.from_options(_SECTION, opt)
        self._crops = TrainingCrops(settings)
        self.blur = self._source('dataroot_blur', first_share=True)
        self.sharp = self._source('dataroot_sharp', first_share=False) if settings.dataroot_sharp else None
        self.known = self._source('dataroot_known') if settings.dataroot_known else None
        self.known_blur: PictureSource | None = None
        self.known_sharp: PictureSource | None = None
        self._known_pairs: KnownPairs | None = None
        if settings.dataroot_known_blur:
            self.known_blur = self._source('dataroot_known_blur')
            self.known_sharp = self._source('dataroot_known_sharp')
            self._known_pairs = KnownPairs(self.known_blur, self.known_sharp, self._crops)
        self._videos: Videos | None = None
        self._sharp_with_known: _SharpWithKnown | None = None
        if self.sharp is not None and settings.synth_known_opt is not None:
            self._sharp_with_known = ShakenCrops(self.sharp, settings.synth_known_opt, self._crops)
        if self.sharp is not None and settings.frame_mean_opt is not None:
            self._videos = Videos(self.sharp, settings.frame_mean_opt.most_frames)
            self._sharp_with_known = AveragedCrops(self._videos, settings.frame_mean_opt, self._crops)

    def _source(self, key: str, first_share: bool | None = None) -> PictureSource:
        source = PictureSource(f'{_SECTION}:{key}', getattr(self.settings, key), self.settings.backend)
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
        sample: dict[str, Any] = {}
        broken: list[str] = []
        for part in self._parts():
            made, missed = drawn_again(key, part)
            sample |= made
            broken += missed
        return {**sample, **key.place(), 'replaced': '\n'.join(broken)}

    def _parts(self) -> Iterator[Callable[[SampleKey], dict[str, Any]]]:
        """What makes the parts of a sample, each from pictures of its own."""
        yield self._blurry
        if self._sharp_with_known is not None:
            yield self._sharp_with_known.sample
        elif self.sharp is not None:
            yield partial(self._any_of, 'sharp', self.sharp, vary_scale=True)
        if self.known is not None:
            yield partial(self._any_of, 'known', self.known)
        if self._known_pairs is not None:
            yield self._known_pairs.sample
        if self.settings.known_noise_opt is not None:
            yield self._noise_seed

    def _blurry(self, key: SampleKey) -> dict[str, Any]:
        index = key.picture if key.attempt == 0 else None
        return self._crops.unpaired('lq', self.blur, key.generator('lq'), index=index, vary_scale=True)

    def _any_of(self, name: str, source: PictureSource, key: SampleKey, vary_scale: bool = False) -> dict[str, Any]:
        return self._crops.unpaired(name, source, key.generator(name), vary_scale=vary_scale)

    def _noise_seed(self, key: SampleKey) -> dict[str, Any]:
        return {'known_seed': torch.tensor(key.drawn_seed('known_noise'), dtype=torch.int64)}

    def check_pictures(self, progress: Progress | None = None, run: RunChecks = run_checks) -> None:
        """Reads every picture's size from its header, and decodes some of each set, evenly spread (256 at most).

        Args:
            progress: wraps the checks, given with their number; shows how far they are.
            run: does the checks.

        Raises:
            UserError: naming the first picture, in the order of the sets, that cannot be read, is too small, or
                differs in size from its twin or from its video's other frames.
        """
        checks: list[Check] = []
        for name, source in self.sources.items():
            native_size = name in ('known_blur', 'known_sharp')
            checks += [partial(self._check_size, source, index, native_size) for index in range(len(source))]
            checks += decode_checks(source)
        if self._known_pairs is not None:
            checks += [partial(self._known_pairs.check_sizes, number) for number in range(len(self._known_pairs))]
        if self._videos is not None:
            checks += [partial(self._videos.check_size, frame) for frame in self._videos.frames]
        run(checks, progress)

    def _check_size(self, source: PictureSource, index: int, native_size: bool) -> None:
        self._crops.refuse_small(source, index, source.size(index), native_size=native_size)
