"""The photographs of ``b2b bench gain``, each in one part alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.errors import UserError
from b2b_basicsr.gain.camera_look import Levels

SHARES = {'known': 0.375, 'blurry': 0.25, 'sharp': 0.275, 'held_out': 0.1}
"""Of all scenes: the known camera's pairs, the target cameras' blurry and sharp pictures, and those in no training."""

FEWEST = 16
"""Photographs; with fewer a part would be hardly more than one scene."""

_ORDER = 2009
"""Seed of the split: one for all machines, seeds and cameras, so that their results belong together."""


class Scenes:
    """The photographs of a folder, split once: a photograph is a scene.

    Args:
        photos: folder of photographs of different scenes, of any depth.
        shorter_side: what larger photographs are reduced to, in pixels.
        at_most: photographs that are taken; ``None``: all.

    Raises:
        UserError: if the folder has too few photographs.
    """

    def __init__(self, photos: Path, shorter_side: int, at_most: int | None = None) -> None:
        self._source = PictureSource('--photos', str(photos), {'type': 'disk'})
        self._shorter_side = shorter_side
        if len(self._source) < FEWEST:
            raise UserError(
                f'--photos: {photos} has {len(self._source)} photographs; give {FEWEST} or more, of different scenes'
            )
        order = np.random.default_rng(_ORDER).permutation(len(self._source))[:at_most]
        borders = np.round(np.cumsum([0.0, *SHARES.values()]) * len(order)).astype(int)
        self.parts: dict[str, list[int]] = {
            part: sorted(int(place) for place in order[start:stop])
            for part, start, stop in zip(SHARES, borders[:-1], borders[1:], strict=True)
        }
        """The places of each part's photographs in the folder's sorted list."""

    def name(self, place: int) -> str:
        """Of a scene's files: its place in the folder's sorted list."""
        return f'{place:05}'

    def photograph(self, place: int) -> Levels:
        """A scene: uint8 [h, w, 3], sRGB.

        Raises:
            UserError: if it cannot be read.
        """
        side = min(min(self._source.size(place)), self._shorter_side)
        return np.asarray(self._source.read_resized(place, side).convert('RGB'))
