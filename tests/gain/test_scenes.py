from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from b2b_basicsr.errors import UserError
from b2b_basicsr.gain.scenes import SHARES, Scenes


def test_each_photograph_is_in_one_part_alone(photos: Path) -> None:
    parts = Scenes(photos, 64).parts
    assert set(parts) == set(SHARES)
    places = [place for part in parts.values() for place in part]
    assert sorted(places) == list(range(20))
    assert all(parts.values())
    assert [len(part) for part in parts.values()] == [8, 4, 6, 2]


def test_the_split_is_the_same_for_everybody(photos: Path) -> None:
    assert Scenes(photos, 64).parts == Scenes(photos, 32).parts


def test_fewer_may_be_taken(photos: Path) -> None:
    assert sum(map(len, Scenes(photos, 64, at_most=17).parts.values())) == 17


def test_photographs_are_reduced_and_never_enlarged(photos: Path) -> None:
    assert Scenes(photos, 36).photograph(0).shape == (36, 48, 3)
    assert Scenes(photos, 500).photograph(0).shape == (72, 96, 3)
    Image.new('L', (96, 72)).save(photos / '00.png')
    assert Scenes(photos, 500).photograph(0).shape == (72, 96, 3)


def test_too_few_photographs_are_refused(photos: Path) -> None:
    for path in sorted(photos.iterdir())[:5]:
        path.unlink()
    with pytest.raises(UserError, match=r'--photos: .* has 15 photographs; give 16 or more'):
        Scenes(photos, 64)
