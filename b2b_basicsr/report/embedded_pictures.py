"""Pictures inside a page: chosen, cut to the same place, made light."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from b2b_basicsr.errors import UserError
from b2b_basicsr.picture_content import decoded
from b2b_basicsr.records.picture_scores import FILE_COLUMNS, ScoredPicture
from b2b_basicsr.records.score_names import GAIN
from b2b_basicsr.regular_file import require_regular_file

LABELS = {
    'lq': 'blurry',
    'direct': 'direct',
    'translated': 'translated',
    'restored': 'restored',
    'reblurred': 're-blurred',
    'gt': 'sharp',
}
DESCRIPTIONS = {
    'direct': 'deblurred without translation',
    'translated': 'translated to the known blur',
    'restored': 'deblurred after translation',
}
LOSSLESS = 100
"""The quality that keeps every level of every pixel."""

_GIVEN, _SHARP = FILE_COLUMNS[0], FILE_COLUMNS[-1]
_LARGEST_WEBP = 16383
_OPENCV_LOSSLESS = 101
"""To OpenCV, 100 is the best of the lossy qualities."""

Levels = NDArray[np.uint8]


@dataclass(frozen=True)
class Encoding:
    """How pictures are made light.

    Args:
        max_side: pictures with a longer side, in pixels, are made smaller; frames of RB2V, REDS and GoPro are not.
        quality: of WebP, 1 to 99; :data:`LOSSLESS` is lossless.
    """

    max_side: int = 1280
    quality: int = 95

    @property
    def said(self) -> str:
        """A sentence about what that does to the levels of a picture."""
        if self.quality >= LOSSLESS:
            return 'The pictures are embedded as lossless WebP.'
        return (
            f'The pictures are embedded as lossy WebP, quality {self.quality} of 100; '
            'the scores are of the pictures themselves.'
        )


@dataclass(frozen=True)
class Layer:
    """One kind of a picture: its column in the table of scores, its label, and a data URI."""

    kind: str
    label: str
    source: str


@dataclass(frozen=True)
class EmbeddedPicture:
    """All kinds of a picture, of one size and place.

    Args:
        picture: with its scores.
        width: in pixels, of every layer.
        height: alike.
        scale: embedded size over the saved one; below 1 where it was made smaller.
        layers: from the blurry to the sharp one.
        left_out: kinds that are named, but not there, no pictures, or of another size.
    """

    picture: ScoredPicture
    width: int
    height: int
    scale: float
    layers: list[Layer]
    left_out: list[str] = field(default_factory=list)


def choose(pictures: Sequence[ScoredPicture], count: int) -> tuple[list[ScoredPicture], str]:
    """At most ``count`` pictures, in their order, and a sentence that says how many of how many, and which.

    They are spread evenly from the least to the largest gain; without gains, evenly over the list.
    """
    if len(pictures) <= count:
        return list(pictures), f'All {len(pictures)} pictures.' if len(pictures) != 1 else 'One picture.'
    gains = [picture.values.get(GAIN, math.nan) for picture in pictures]
    by_gain = not any(math.isnan(gain) for gain in gains)
    order = sorted(range(len(pictures)), key=lambda index: gains[index]) if by_gain else range(len(pictures))
    places = np.linspace(0, len(pictures) - 1, count).round().astype(int) if count > 1 else [len(pictures) // 2][:count]
    chosen = sorted({order[int(place)] for place in places})
    which = 'from the least to the largest gain' if by_gain else 'over the list'
    said = f'{len(chosen)} of {len(pictures)} pictures, spread evenly {which}; --pictures sets how many.'
    return [pictures[index] for index in chosen], said


def embed(picture: ScoredPicture, encoding: Encoding) -> EmbeddedPicture | None:
    """Reads the files of a picture and makes them light; ``None`` if none of them can be shown.

    What the networks saved says which part is shown: with ``val: crop`` that is the centre of the given pictures.

    Args:
        picture: with its files.
        encoding: how light.
    """
    found = {kind: read_levels(file) for kind, file in _in_order(picture)}
    levels = {kind: content for kind, content in found.items() if content is not None}
    made = next((kind for kind in levels if kind not in (_GIVEN, _SHARP)), next(iter(levels), None))
    if made is None:
        return None
    height, width = levels[made].shape[:2]
    cut = {kind: _centre(content, height, width) for kind, content in levels.items()}
    same = {kind: content for kind, content in cut.items() if content.shape[:2] == (height, width)}
    scale = min(1.0, min(encoding.max_side, _LARGEST_WEBP) / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    layers = [
        Layer(kind, LABELS.get(kind, kind), data_uri(_resized(content, size), encoding))
        for kind, content in same.items()
    ]
    return EmbeddedPicture(picture, *size, scale, layers, [kind for kind in found if kind not in same])


def embed_all(pictures: Sequence[ScoredPicture], encoding: Encoding, title: str) -> list[EmbeddedPicture]:
    """Those of the pictures that can be shown, with a progress bar of that title."""
    bar = tqdm(pictures, desc=title, unit='picture', disable=not pictures)
    return [shown for shown in (embed(picture, encoding) for picture in bar) if shown is not None]


def _in_order(picture: ScoredPicture) -> list[tuple[str, Path]]:
    """From the blurry to the sharp one; a model's own kinds before the last."""
    known = [*FILE_COLUMNS[:-1], *(kind for kind in picture.files if kind not in FILE_COLUMNS), _SHARP]
    return [(kind, picture.files[kind]) for kind in known if kind in picture.files]


def read_levels(path: Path) -> Levels | None:
    """A picture as BGR levels, uint8 [h, w, 3], read as in training; ``None`` if it cannot be."""
    try:
        require_regular_file(path)
        rgb = np.asarray(decoded(path.read_bytes()))
    except (OSError, UserError):
        return None
    return np.ascontiguousarray(rgb[..., ::-1])


def _centre(picture: Levels, height: int, width: int) -> Levels:
    """The middle of a picture, as ``models/centre_crop.py`` finds it; all of one that is smaller."""
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return picture if min(top, left) < 0 else np.ascontiguousarray(picture[top : top + height, left : left + width])


def _resized(picture: Levels, size: tuple[int, int]) -> Levels:
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def data_uri(picture: Levels, encoding: Encoding) -> str:
    """A picture (BGR levels) as a data URI; its size is as it is."""
    quality = _OPENCV_LOSSLESS if encoding.quality >= LOSSLESS else encoding.quality
    _, encoded = cv2.imencode('.webp', picture, [cv2.IMWRITE_WEBP_QUALITY, quality])
    return f'data:image/webp;base64,{base64.b64encode(encoded.tobytes()).decode("ascii")}'
