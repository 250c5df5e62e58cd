"""How blurred a picture is, told from the picture alone."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.measure import blur_effect

MEASURE = 'blur effect (Crete et al. 2007; scikit-image), h_size 15, after a Gaussian of 1 pixel, worst of 4 directions'
"""The measure and its settings. Scores of another one are not comparable."""

_H_SIZE = 15
_NOISE_SIGMA = 1.0
_ONE_LEVEL = 1 / 255


def blur_score(picture: NDArray[np.uint8]) -> float:
    """Scores blur without ground truth: 0 sharp, 1 blurred.

    A sharp picture loses much of its gradient when it is blurred once more, a blurred one little: the score is the
    share that is left (Crete et al., "The blur effect", SPIE 6492, 2007, :func:`skimage.measure.blur_effect`), in the
    direction where it is largest, as motion blurs along its path alone. Beside rows and columns the two diagonals are
    looked at, in the largest centred square of the picture turned by 45 degrees. A Gaussian of one pixel goes before,
    as noise is sharp. Choice and settings were measured: ``docs/selecting.md``.

    Scores compare pictures of one size and much the same kind of scene. A picture without any detail, or with a
    side of less than 15 pixels, scores 1.

    Args:
        picture: uint8 [h, w, 3], RGB.

    Returns:
        The score, in [0, 1].

    Example:
        >>> sharp = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        >>> blur_score(cv2.blur(sharp, (9, 1))) > blur_score(cv2.blur(sharp, (3, 1))) > blur_score(sharp)
        True
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    smooth: NDArray[np.float32] = np.asarray(cv2.GaussianBlur(grey, (0, 0), _NOISE_SIGMA), dtype=np.float32)
    views = [smooth, _turned(smooth)]
    scores = [float(blur_effect(view, h_size=_H_SIZE)) for view in views if _shows_something(view)]
    return min(max(scores, default=1.0), 1.0)


def _shows_something(grey: NDArray[np.float32]) -> bool:
    return min(grey.shape) >= _H_SIZE and bool(grey.std() > _ONE_LEVEL)


def _turned(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest square about the centre that the picture turned by 45 degrees fills."""
    height, width = grey.shape
    side = max(int(min(height, width) / math.sqrt(2)), 1)
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 45, 1)
    turn[:, 2] += (side - width) / 2, (side - height) / 2
    # Where rounding makes the square touch the border, repeating draws no edge. (Mirroring a single pixel never ends.)
    square = cv2.warpAffine(grey, turn, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(square, dtype=np.float32)
