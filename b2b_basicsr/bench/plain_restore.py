"""Restoring written plainly: what the pipeline is measured against.

fp32, one tile or frame after the other, and a file is read, restored and written before the next. Bytes are brought to
the device and back; all between is done there, so that networks are compared, and what overlaps, not transports.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from b2b_basicsr.archs.mimounet_arch import MIMOUNet
from b2b_basicsr.bench.plain_step import PlainFusion
from b2b_basicsr.restore.inputs import Job
from b2b_basicsr.restore.tile_size import TILE_ON_CPU, WHOLE_ON_CPU, automatic_tile, pixels_that_fit
from b2b_basicsr.restore.video_source import VideoSource
from b2b_basicsr.restore.video_writer import video_to
from b2b_basicsr.tiling import apply_tiled

Bytes = NDArray[np.uint8]


class PlainRestorer:
    """A translator before a deblurrer, called as a pipeline is.

    Args:
        translator: is changed: its fusions become plain ones.
        deblurrer: takes what the translator gives.
        device: where they compute.
    """

    def __init__(self, translator: MIMOUNet, deblurrer: nn.Module, device: str) -> None:
        translator.AFFs = nn.ModuleList(PlainFusion(fusion) for fusion in translator.AFFs)
        self._device = torch.device(device)
        self._networks = [net.eval().to(self._device) for net in (translator, deblurrer)]
        self._tile: int | None = None

    @torch.no_grad()
    def __call__(self, picture: Bytes, **_: Any) -> Bytes:
        """uint8 [h, w, 3] to the same."""
        levels = torch.tensor(picture).to(self._device)
        x = levels.permute(2, 0, 1)[None].float().contiguous() / 255
        tile = self._tile_for(*picture.shape[:2])
        (result,) = (self._run(x),) if tile is None else apply_tiled(lambda part: (self._run(part),), x, tile)
        restored: Bytes = (result[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().cpu().numpy()
        return restored

    def _run(self, x: Tensor) -> Tensor:
        for net in self._networks:
            outputs = net(x)
            x = outputs[-1] if isinstance(outputs, list) else outputs
        return x

    def _tile_for(self, height: int, width: int) -> int | None:
        """As the pipeline's, by these networks' memory."""
        if self._device.type != 'cuda':
            return None if height * width <= WHOLE_ON_CPU else TILE_ON_CPU
        if self._tile is None:
            self._tile = automatic_tile(pixels_that_fit(self._run, self._device), self._device)
        return self._tile


def restore_pictures_in_turn(jobs: Sequence[Job], restore: PlainRestorer) -> None:
    """Reads, restores and writes JPEGs, one after the other."""
    for job in jobs:
        with Image.open(job.source) as opened:
            rgb = np.asarray(opened.convert('RGB'))
        job.result.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(restore(rgb)).save(job.result, quality=95, subsampling=0)


def restore_video_in_turn(job: Job, restore: PlainRestorer) -> None:
    """Reads, restores and writes frames, one after the other."""
    source = VideoSource(job.source)
    with video_to(job.result, source.facts.width, source.facts.height, source) as writer:
        for frame in source.frames():
            writer.write(restore(frame))
