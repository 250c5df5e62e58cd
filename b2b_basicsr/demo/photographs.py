"""Real photographs that come inside Python packages."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from b2b_basicsr.errors import UserError

Photograph = NDArray[np.uint8]


def _skimage(name: str) -> Callable[[], Photograph]:
    def load() -> Photograph:
        from skimage import data

        return np.asarray(getattr(data, name)())

    return load


def _sklearn(name: str) -> Callable[[], Photograph]:
    def load() -> Photograph:
        from sklearn.datasets import load_sample_image

        return np.asarray(load_sample_image(name))

    return load


def _motorcycle() -> Photograph:
    from skimage import data

    return np.asarray(data.stereo_motorcycle()[0])


def _grace_hopper() -> Photograph:
    from matplotlib import cbook
    from PIL import Image

    path = cbook.get_sample_data('grace_hopper.jpg', asfileobj=False)
    return np.asarray(Image.open(path).convert('RGB'))


SHARP: dict[str, Callable[[], Photograph]] = {
    'astronaut': _skimage('astronaut'),
    'coffee': _skimage('coffee'),
    'hubble': _skimage('hubble_deep_field'),
    'motorcycle': _motorcycle,
    'chelsea': _skimage('chelsea'),
}
"""S: of the camera whose blur is unknown. The deblurrer's pairs are made of these, too."""

BLURRY: dict[str, Callable[[], Photograph]] = {
    'china': _sklearn('china.jpg'),
    'grace_hopper': _grace_hopper,
    'immunohistochemistry': _skimage('immunohistochemistry'),
}
"""B, once blurred."""

HELD_OUT: dict[str, Callable[[], Photograph]] = {
    'flower': _sklearn('flower.jpg'),
    'rocket': _skimage('rocket'),
}
"""Seen in no training."""


def load(photographs: dict[str, Callable[[], Photograph]]) -> dict[str, Photograph]:
    """Loads photographs: uint8 [h, w, 3], RGB.

    Raises:
        UserError: if a package that brings them is not installed.
    """
    try:
        return {name: photograph() for name, photograph in photographs.items()}
    except ImportError as cause:
        raise UserError(f"the demo's photographs come with {cause.name}: pip install 'b2b-basicsr[demo]'") from cause
