"""Small picture folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MakePictures = Callable[..., Path]


@pytest.fixture
def make_pictures(tmp_path: Path) -> MakePictures:
    """Writes pictures of random smooth colours: ``make_pictures('blur', ['a/0.png', ...], size=(w, h), seed=0)``."""

    def make(folder: str, names: list[str], size: tuple[int, int] = (48, 40), seed: int = 0) -> Path:
        generator = np.random.default_rng(seed)
        for name in names:
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            small = Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8))
            small.resize(size, Image.Resampling.BICUBIC).save(path)
        return tmp_path / folder

    return make
