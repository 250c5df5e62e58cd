from __future__ import annotations

import sys

import numpy as np
import pytest

from b2b_basicsr.demo.photographs import BLURRY, HELD_OUT, SHARP, load
from b2b_basicsr.errors import UserError


def test_photographs_are_rgb_and_of_their_own_set() -> None:
    sets = [load(photographs) for photographs in (SHARP, BLURRY, HELD_OUT)]
    for photographs in sets:
        for picture in photographs.values():
            assert picture.dtype == np.uint8
            assert picture.shape[2] == 3
            assert min(picture.shape[:2]) >= 300
    assert len({name for photographs in sets for name in photographs}) == sum(map(len, sets)) == 10


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'skimage', None)
    with pytest.raises(UserError, match=r"pip install 'b2b-basicsr\[demo\]'"):
        load(SHARP)
