from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Pixels = NDArray[Any]


class Identity:
    """A pipeline whose networks change nothing; it remembers what it was given."""

    def __init__(self) -> None:
        self.given: list[Pixels] = []

    def __call__(
        self,
        picture: Pixels,
        return_translated: bool = False,
        translate: bool = True,
        progress: Callable[[int], object] | None = None,
    ) -> Any:
        assert picture.dtype in (np.uint8, np.uint16)
        assert picture.ndim == 3
        assert picture.shape[2] == 3
        self.given.append(picture)
        if progress is not None:
            progress(len(picture))
        return (picture.copy(), 255 - picture) if return_translated else picture.copy()


@pytest.fixture
def identity() -> Identity:
    return Identity()


@pytest.fixture
def noise() -> Pixels:
    """Three channels of 16 bits, in which every level may occur."""
    return np.random.default_rng(0).integers(0, 65536, (24, 40, 3), dtype=np.uint16)
