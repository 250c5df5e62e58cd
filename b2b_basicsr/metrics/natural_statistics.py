"""The statistics of natural pictures that NIQE compares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma
from typing_extensions import Self

_WINDOW = 7
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
_LEAST_TEXTURE = 1e-3
"""Mean square of a block's normalised luma below which there is nothing but a few odd levels in it."""

_SHRINKAGE = 0.3
"""How far a covariance is drawn to its diagonal: there may be fewer pictures than features."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class LikenessToPictures:
    """How far a picture's features are from those of many pictures.

    Args:
        mean: of their features, [f].
        precision: the inverse of their features' covariance, [f, f].
    """

    mean: Values
    precision: Values

    @classmethod
    def fitted(cls, features: Values) -> Self:
        """To the features of pictures, [n, f], n at least 2."""
        covariance = np.cov(features, rowvar=False)
        diagonal = np.diag(np.diag(covariance) + 1e-9)
        precision: Values = np.linalg.inv((1 - _SHRINKAGE) * covariance + _SHRINKAGE * diagonal).astype(np.float64)
        return cls(features.mean(axis=0), precision)

    def distance(self, features: Values) -> float:
        """Mahalanobis' distance of one picture's features, [f], from 0.

        Example:
            >>> likeness = LikenessToPictures.fitted(np.eye(3))
            >>> likeness.distance(np.full(3, 1 / 3)) < 1e-6 < likeness.distance(np.ones(3))
            True
        """
        off = features - self.mean
        return float(np.sqrt(off @ self.precision @ off))


def picture_features(picture: NDArray[np.uint8], block: int) -> Values:
    """The mean of :func:`block_features` over the luma of a picture, uint8 [h, w, 3], BGR: [36]."""
    grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_BGR2GRAY), dtype=np.uint8)
    mean: Values = block_features(grey, block).mean(axis=0)
    return mean


def block_features(grey: NDArray[np.uint8], block: int) -> Values:
    """The 36 features of every block with texture: of two scales, 18 each. Mittal et al., SPL 2013.

    Luma is freed of its local mean and contrast; of that and of its products with four neighbours a generalised
    Gaussian is fitted in each block. The fits are BasicSR's (``basicsr.metrics.niqe.compute_feature``), of all blocks
    at once, which takes a tenth of the time.

    Args:
        grey: luma, uint8 [h, w], both at least ``block``. What is left over at the right and below is not looked at.
        block: side of the blocks in pixels, even.

    Returns:
        [n, 36], n at least 1. Blocks without texture are left out, unless none has any.

    Example:
        >>> picture = np.random.default_rng(0).integers(0, 256, (64, 100), dtype=np.uint8)
        >>> block_features(picture, 32).shape
        (6, 36)
    """
    rows, columns = (side // block * block for side in grey.shape)
    scale = grey[:rows, :columns].astype(np.float32)
    halved = np.asarray(cv2.resize(scale, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), dtype=np.float32)
    blocks = [_blocks(_normalised(picture), side) for picture, side in ((scale, block), (halved, block // 2))]
    textured = np.square(blocks[0]).mean(axis=(1, 2)) > _LEAST_TEXTURE
    if textured.any():
        blocks = [each[textured] for each in blocks]
    return np.concatenate([_features(each) for each in blocks], axis=1)


def _normalised(picture: NDArray[np.float32]) -> Values:
    mean, square = (
        cv2.GaussianBlur(each, (_WINDOW, _WINDOW), _WINDOW / 6, borderType=cv2.BORDER_REPLICATE)
        for each in (picture, np.square(picture))
    )
    normalised: Values = ((picture - mean) / (np.sqrt(np.abs(square - np.square(mean))) + 1)).astype(np.float64)
    return normalised


def _blocks(picture: Values, side: int) -> Values:
    """[n, side, side]."""
    rows, columns = (length // side for length in picture.shape)
    return picture.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)


def _features(blocks: Values) -> Values:
    """[n, 18]."""
    shape, left, right = _generalised_gaussian(blocks)
    features = [shape, (left + right) / 2]
    for shift in _NEIGHBOURS:
        shape, left, right = _generalised_gaussian(blocks * np.roll(blocks, shift, axis=(1, 2)))
        features += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]
    return np.stack(features, axis=1)


def _generalised_gaussian(blocks: Values) -> tuple[Values, Values, Values]:
    """Shape and the two scales of each block's asymmetric generalised Gaussian, [n] each."""
    left, right = (
        np.sqrt((np.square(blocks) * side).sum(axis=(1, 2)) / np.maximum(side.sum(axis=(1, 2)), 1) + 1e-12)
        for side in (blocks < 0, blocks > 0)
    )
    ratio = left / right
    peak = np.square(np.abs(blocks).mean(axis=(1, 2))) / (np.square(blocks).mean(axis=(1, 2)) + 1e-12)
    wanted = peak * (ratio**3 + 1) * (ratio + 1) / np.square(ratio**2 + 1)
    shapes, peaks = _shapes()
    above = np.clip(np.searchsorted(peaks, wanted), 1, len(peaks) - 1)
    nearest = above - (wanted - peaks[above - 1] < peaks[above] - wanted)
    shape = shapes[nearest]
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale


@cache
def _shapes() -> tuple[Values, Values]:
    """Shapes of a generalised Gaussian, and the squared mean over the mean square of each, which rises with it."""
    shapes = np.arange(0.2, 10.001, 0.001)
    return shapes, np.square(gamma(2 / shapes)) / (gamma(1 / shapes) * gamma(3 / shapes))
