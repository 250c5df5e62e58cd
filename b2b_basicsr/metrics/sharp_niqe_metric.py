"""A score of deblurring without ground truth, by one's own sharp pictures."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from basicsr.metrics.metric_util import reorder_image
from basicsr.utils.registry import METRIC_REGISTRY
from numpy.typing import NDArray
from pydantic import Field

from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.errors import UserError
from b2b_basicsr.metrics.natural_statistics import LikenessToPictures, picture_features
from b2b_basicsr.metrics.traits import metric_traits
from b2b_basicsr.printable import printable

BLOCK = 64
"""Side of the blocks in pixels; of those tried the one whose score followed the gain best."""

_LOW_PASS = 6.0
"""Sigma in pixels of what deblurring leaves as it is."""

LARGEST_SIDE = 512
"""Of a sharp picture so many pixels about its centre are looked at."""


def _sharp_pictures(sharp: str, pictures: int) -> tuple[PictureSource, list[int]]:
    """The folder, and the places of so many pictures, spread evenly over it.

    Raises:
        UserError: if it has less than two, or one is too small.
    """
    source = PictureSource('sharp', sharp, {'type': 'lmdb' if sharp.endswith('.lmdb') else 'disk'})
    if len(source) < 2:
        raise UserError(f'sharp: {sharp!r} has one picture; give a folder with more, 40 say')
    places = np.linspace(0, len(source) - 1, min(pictures, len(source))).round().astype(int).tolist()
    for place in places:
        if min(source.size(place)) < BLOCK:
            raise UserError(
                f'sharp: {printable(source.path(place))} is smaller than {BLOCK}x{BLOCK} pixels; take it out'
            )
    return source, places


@cache
def _likeness(sharp: str, pictures: int) -> LikenessToPictures:
    source, places = _sharp_pictures(sharp, pictures)
    middles = (_middle(np.asarray(source.read(place))[..., ::-1]) for place in places)
    return LikenessToPictures.fitted(np.stack([picture_features(middle, BLOCK) for middle in middles]))


def _middle(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    top, left = (max(0, (side - LARGEST_SIDE) // 2) for side in picture.shape[:2])
    return picture[top : top + LARGEST_SIDE, left : left + LARGEST_SIDE]


def _check_sharp_niqe(sharp: str, pictures: int = 100, **kwargs: Any) -> None:
    _sharp_pictures(sharp, pictures)


@METRIC_REGISTRY.register()
@metric_traits(better='lower', check=_check_sharp_niqe)
def calculate_sharp_niqe(
    img: NDArray[np.uint8],
    deblurred_from: NDArray[np.uint8],
    sharp: str,
    pictures: Annotated[int, Field(ge=2)] = 100,
    faithfulness: Annotated[float, Field(ge=0)] = 8.0,
    crop_border: Annotated[int, Field(ge=0)] = 0,
    input_order: Literal['HWC', 'CHW'] = 'HWC',
    **kwargs: Any,
) -> float:
    """NIQE to one's own sharp pictures, and faithfulness to what was deblurred; no ground truth, lower is better.

    The sum of two: how far the picture's statistics are from those of sharp pictures of the same
    camera, instead of a fixed corpus (NIQE's features, Mittal et al., SPL 2013, averaged over the picture's blocks;
    Mahalanobis' distance); and how far its low frequencies, which deblurring leaves as they are, are from those of the
    picture that the deblurrer was given (mean absolute difference in levels). A deblurrer that sees another blur than
    its own fails by the second, a picture that is left blurry by the first. docs/stopping.md says how it was chosen and
    when to trust it.

    Args:
        img: restored picture with levels in [0, 255], BGR, [h, w, 3] (or [3, h, w], see ``input_order``).
        deblurred_from: what the deblurrer was given, alike: G(x), or x without a translator. Validation gives it.
        sharp: folder of sharp pictures of the same camera, of the scale of ``img`` (S will do), or a ``.lmdb``. It is
            read once for a process.
        pictures: how many of them are looked at, spread evenly; 40 or more are good.
        faithfulness: weight of the second; 0: the first alone. Of those tried 8 followed the gain best.
        crop_border: pixels to leave out along each edge.
        input_order: ``HWC`` or ``CHW``.
        kwargs: keys of an option file that are not for this metric.

    Returns:
        From 0, without upper bound.

    Raises:
        ValueError: the pictures differ in size.
        UserError: the folder is missing or has less than two pictures, or a picture is smaller than a block.
    """
    if img.shape != deblurred_from.shape:
        raise ValueError(f'pictures differ in size: {img.shape} and {deblurred_from.shape}')
    restored, source = (_inner(reorder_image(picture, input_order), crop_border) for picture in (img, deblurred_from))
    if min(restored.shape[:2]) < BLOCK:
        raise UserError(
            f'calculate_sharp_niqe: needs pictures of {BLOCK}x{BLOCK} at least, but got '
            f'{restored.shape[1]}x{restored.shape[0]}'
        )
    distance = _likeness(sharp, pictures).distance(picture_features(restored, BLOCK))
    return distance + faithfulness * low_pass_difference(restored, source)


def _inner(picture: NDArray[np.uint8], crop_border: int) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    return picture[crop_border : height - crop_border, crop_border : width - crop_border]


def low_pass_difference(picture: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Mean absolute difference in levels of two pictures, uint8 [h, w, 3], behind a Gaussian of 6 pixels."""
    difference = np.ascontiguousarray(picture).astype(np.float32) - other
    return float(np.abs(cv2.GaussianBlur(difference, (0, 0), _LOW_PASS)).mean())
