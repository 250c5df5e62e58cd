from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from b2b_basicsr.data.orientation import Orientation


@pytest.mark.parametrize('steps', list(product([False, True], repeat=3)))
def test_points_go_where_their_pixels_go(steps: tuple[bool, bool, bool]) -> None:
    orientation = Orientation(*steps)
    picture = np.zeros((4, 6, 1))
    picture[1, 4] = 1
    rows, columns = np.nonzero(orientation.apply(picture)[..., 0])
    assert orientation.apply_to_point((4, 1), (6, 4)) == (columns[0], rows[0])


def test_options_allow_steps() -> None:
    def drawn(use_hflip: bool, use_rot: bool) -> set[Orientation]:
        return {Orientation.draw(use_hflip, use_rot, np.random.default_rng(seed)) for seed in range(100)}

    assert drawn(False, False) == {Orientation(False, False, False)}
    assert drawn(True, False) == {Orientation(False, False, False), Orientation(True, False, False)}
    assert len(drawn(True, True)) == 8
