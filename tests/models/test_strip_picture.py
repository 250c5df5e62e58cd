from __future__ import annotations

import numpy as np
import pytest

from b2b_basicsr.models.strip_picture import strip_picture


def _plain(level: int, height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((height, width, 3), level, np.uint8)


def test_rows_and_columns_stand_in_their_places() -> None:
    sheet = strip_picture(
        [{'a': _plain(10, 30, 40), 'b': _plain(20, 30, 50)}, {'a': _plain(30, 20, 40), 'b': _plain(40, 20, 50)}]
    )
    assert sheet.shape == (20 + 30 + 4 + 20, 40 + 4 + 50, 3)
    assert (sheet[20:50, :40] == 10).all()
    assert (sheet[20:50, 44:] == 20).all()
    assert (sheet[54:, :40] == 30).all()
    assert (sheet[54:, 44:] == 40).all()
    assert (sheet[:, 40:44] == 255).all()


@pytest.mark.parametrize('name', ['a', 'a name much wider than its picture'])
def test_a_title_is_not_cut(name: str) -> None:
    sheet = strip_picture([{name: _plain(0, 8, 16)}])
    title = sheet[:20].min(axis=(0, 2)) < 255
    assert title.any()
    assert not title[0]
    assert not title[-1]
