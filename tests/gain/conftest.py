from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from b2b_basicsr.gain import workplace
from b2b_basicsr.gain.results import Row
from b2b_basicsr.gain.run import Asked, run_gain
from b2b_basicsr.gain.scenes import FEWEST
from tests.gain.fake_pipeline import FakePipeline

Bench = Callable[..., list[Row]]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of small textured photographs, each of its own colour."""
    return make_photos(tmp_path / 'photos')


def make_photos(folder: Path) -> Path:
    folder.mkdir()
    generator = np.random.default_rng(0)
    for place in range(FEWEST + 4):
        coarse = Image.fromarray(generator.integers(0, 256, (5, 7, 3), np.uint8))
        coarse.resize((96, 72), Image.Resampling.NEAREST).save(folder / f'{place:02}.png')
    return folder


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> FakePipeline:
    """In place of BasicSR's."""
    fake = FakePipeline()
    monkeypatch.setattr(workplace, 'run_stage', fake)
    return fake


@pytest.fixture
def said() -> list[str]:
    """What a run has told."""
    return []


def _no_page(folder: Path) -> Path:
    (folder / 'index.html').write_text('')
    return folder / 'index.html'


@pytest.fixture
def bench(
    photos: Path, tmp_path: Path, pipeline: FakePipeline, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> Bench:
    """Runs the benchmark of size tiny, one camera unless said otherwise; of the page there is but a file."""
    monkeypatch.setattr('b2b_basicsr.gain.run.write_gain_page', _no_page)

    def run(*cameras: str, **settings: Any) -> list[Row]:
        given = {'photos': photos, 'size': 'tiny', **settings}
        asked = {key: given.pop(key) for key in ('known', 'variants', 'seeds', 'stages') if key in given}
        return run_gain(
            tmp_path / 'out', asked=Asked(cameras=cameras or ('defocus',), **asked), say=said.append, **given
        )

    return run
