"""What makes known blur K from whole sharp pictures S, offline."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from b2b_basicsr.archs.kernel_wizard_arch import KernelWizard
from b2b_basicsr.checks.network_check import build_without_numbers, check_weights
from b2b_basicsr.data.linear_light import as_levels
from b2b_basicsr.data.picture_source import PictureSource, matched_pairs, refuse_unequal_twins
from b2b_basicsr.data.unpaired_blur_options import UnpairedBlurOptions
from b2b_basicsr.data.videos import Videos
from b2b_basicsr.errors import UserError
from b2b_basicsr.models.frozen_network import frozen_network

_SECTION = 'datasets:train'
Levels = NDArray[np.uint8]


class KnownSource(ABC):
    """Makes K from S, picture by picture.

    Args:
        sharp: S.
        settings: the option file's ``datasets: train``.
        device: where it computes.
    """

    kind: str
    """The option key that names the source."""

    def __init__(self, sharp: PictureSource, settings: UnpairedBlurOptions, device: torch.device) -> None:
        self.sharp = sharp
        self.settings = settings
        self.device = device

    @property
    def places(self) -> list[int]:
        """Places in ``sharp`` of the pictures that K can be made from."""
        return list(range(len(self.sharp)))

    @property
    def roots(self) -> list[Path]:
        """The folders that it reads."""
        return [self.sharp.root]

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The source and its settings, for the manifest: what is equal makes equal pictures."""

    @abstractmethod
    def make(self, place: int, seed: int) -> tuple[Levels, dict[str, Any]]:
        """K from one picture.

        Args:
            place: of the picture in ``sharp``.
            seed: of every random choice.

        Returns:
            uint8 [h, w, 3], sRGB, S resized and blurred; and what the manifest says of it besides.

        Raises:
            UserError: if a picture cannot be read.
        """


class ShakenPictures(KnownSource):
    """By the parametric camera shake, ``synth_known_opt``."""

    kind = 'synth_known_opt'

    def describe(self) -> dict[str, Any]:
        """The shake's settings."""
        assert self.settings.synth_known_opt is not None
        shake = self.settings.synth_known_opt.model_dump(mode='json', exclude={'on_device', 'reach'})
        return {'source': self.kind, 'synth_known_opt': shake}

    def make(self, place: int, seed: int) -> tuple[Levels, dict[str, Any]]:
        """S, shaken."""
        assert self.settings.synth_known_opt is not None
        sharp = np.asarray(self.sharp.read_resized(place, self.settings.resize))
        return self.settings.synth_known_opt.blur_whole(sharp, seed, self.device), {}


class AveragedFrames(KnownSource):
    """By the mean of consecutive sharp frames, ``frame_mean_opt``."""

    kind = 'frame_mean_opt'

    def __init__(self, sharp: PictureSource, settings: UnpairedBlurOptions, device: torch.device) -> None:
        super().__init__(sharp, settings, device)
        assert settings.frame_mean_opt is not None
        self._mean = settings.frame_mean_opt
        self._videos = Videos(sharp, self._mean.most_frames)

    @property
    def places(self) -> list[int]:
        """The frames of videos that are long enough."""
        return self._videos.frames

    def describe(self) -> dict[str, Any]:
        """The mean's settings."""
        return {'source': self.kind, 'frame_mean_opt': self._mean.model_dump(mode='json')}

    def make(self, place: int, seed: int) -> tuple[Levels, dict[str, Any]]:
        """The mean about a frame."""
        return self._mean.of_video(self._videos, place, seed, self.settings.resize), {}


class KernelNetwork(KnownSource):
    """By the blur-kernel network, ``network_k``, from pairs of the known set drawn at random.

    The pair is cropped at random to the size of the sharp picture, or to its own where that is less; its code is then
    resized, see :meth:`KernelWizard.transfer`.
    """

    kind = 'network_k'

    def __init__(
        self, sharp: PictureSource, settings: UnpairedBlurOptions, device: torch.device, opt: Mapping[str, Any]
    ) -> None:
        super().__init__(sharp, settings, device)
        assert settings.dataroot_known_blur is not None
        assert settings.dataroot_known_sharp is not None
        self._blur, self._clear = (
            PictureSource(f'{_SECTION}:{key}', root, settings.backend)
            for key, root in (
                ('dataroot_known_blur', settings.dataroot_known_blur),
                ('dataroot_known_sharp', settings.dataroot_known_sharp),
            )
        )
        self._pairs = matched_pairs(self._blur, self._clear)
        self._opt = {**opt, 'path': opt.get('path') or {}}
        self._net = self._build()

    def _build(self) -> KernelWizard:
        if not self._opt.get('network_k'):
            raise UserError('network_k: missing; it carries the blur of known pairs over to S: {type: KernelWizard}')
        outline = build_without_numbers(self._opt, 'network_k')
        if not isinstance(outline, KernelWizard):
            raise UserError(f'network_k:type: {type(outline).__name__} carries no blur over; use type: KernelWizard')
        check_weights(self._opt, 'network_k', outline, 'it is frozen, and useless untrained')
        net = frozen_network(self._opt, 'network_k', self.device)
        assert isinstance(net, KernelWizard)
        return net

    @property
    def roots(self) -> list[Path]:
        """The folders that it reads."""
        return [self.sharp.root, self._blur.root, self._clear.root]

    def describe(self) -> dict[str, Any]:
        """The network, its weights and the pairs."""
        paths = self._opt['path']
        file = Path(paths['pretrain_network_k']).expanduser()
        return {
            'source': self.kind,
            'network_k': dict(self._opt['network_k']),
            'weights': {
                'file': str(file),
                'param_key': paths.get('param_key_k', 'params'),
                'sha256': hashlib.sha256(file.read_bytes()).hexdigest(),
            },
            'pairs': {
                'known_blur': str(self._blur.root),
                'known_sharp': str(self._clear.root),
                'count': len(self._pairs),
                'names_sha256': _names_digest([self._blur.names[first] for first, _ in self._pairs]),
            },
        }

    @torch.no_grad()
    def make(self, place: int, seed: int) -> tuple[Levels, dict[str, Any]]:
        """S with the blur of a pair."""
        sharp = self.sharp.read_resized(place, self.settings.resize)
        generator = np.random.default_rng(seed)
        blur_index, clear_index = self._pairs[int(generator.integers(len(self._pairs)))]
        blurred, clear = self._blur.read(blur_index), self._clear.read(clear_index)
        refuse_unequal_twins(self._blur, blur_index, blurred.size, clear.size)
        width, height = (min(pair) for pair in zip(sharp.size, clear.size, strict=True))
        left = int(generator.integers(clear.width - width + 1))
        top = int(generator.integers(clear.height - height + 1))
        box = (left, top, left + width, top + height)
        code, _ = self._net.encode(self._tensor(clear.crop(box)), self._tensor(blurred.crop(box)))
        known = self._net.transfer(self._tensor(sharp), code)[0].float().clamp(0, 1).cpu().numpy()
        return as_levels(known.transpose(1, 2, 0)), {'pair': self._blur.names[blur_index], 'box': list(box)}

    def _tensor(self, picture: Image.Image) -> torch.Tensor:
        levels = torch.from_numpy(np.array(picture)).to(self.device)
        return levels.permute(2, 0, 1)[None].float() / 255


def _names_digest(names: list[str]) -> str:
    return hashlib.sha256('\n'.join(names).encode(errors='surrogateescape')).hexdigest()


def known_source(opt: Mapping[str, Any], device: torch.device) -> KnownSource:
    """The source of K that a training option file names.

    Args:
        opt: the option file as it is written; ``datasets: train``, ``network_k`` and ``path`` are read.
        device: where it computes.

    Raises:
        UserError: if K is ready-made already, or something that the source needs is missing.
    """
    section = (opt.get('datasets') or {}).get('train')
    if not isinstance(section, Mapping) or section.get('type') != 'UnpairedBlurDataset':
        raise UserError(f'{_SECTION}: known blur is made for type: UnpairedBlurDataset; give its option file')
    settings = UnpairedBlurOptions.from_options(_SECTION, section)
    if settings.dataroot_known is not None:
        raise UserError(f'{_SECTION}:dataroot_known: K is ready-made in this file; give it the source to make K from')
    assert settings.dataroot_sharp is not None
    sharp = PictureSource(f'{_SECTION}:dataroot_sharp', settings.dataroot_sharp, settings.backend)
    sharp.names = settings.share(sharp.names, first=False)
    if settings.synth_known_opt is not None:
        return ShakenPictures(sharp, settings, device)
    if settings.frame_mean_opt is not None:
        return AveragedFrames(sharp, settings, device)
    return KernelNetwork(sharp, settings, device, opt)
