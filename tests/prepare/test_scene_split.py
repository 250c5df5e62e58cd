from __future__ import annotations

import pytest

from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.scene_split import split_scenes


@pytest.mark.parametrize(
    ('scenes', 'ratio', 'first'),
    [(22, 0.6, 13), (5, 0.6, 3), (100, 0.29, 29), (2, 0.9, 1), (2, 0.1, 1), (10, 0.01, 1), (10, 0.999, 9)],
)
def test_b_has_the_first_floor_of_its_share_and_s_the_others(scenes: int, ratio: float, first: int) -> None:
    names = [f'{scene:03}' for scene in range(scenes)]
    b, s = split_scenes(names[::-1], names, ratio)
    assert b == names[:first]
    assert s == names[first:]


def test_scenes_of_one_side_stay_there() -> None:
    assert split_scenes({'b1', 'b2'}, {'s1'}, 0.6) == (['b1', 'b2'], ['s1'])
    assert split_scenes({'b1', 'x'}, {'x'}, 0.9) == (['b1'], ['x'])
    assert split_scenes({'x'}, {'x', 's1'}, 0.1) == (['x'], ['s1'])


@pytest.mark.parametrize(('blurry', 'sharp'), [({'x'}, {'x'}), (set(), {'x'}), ({'x'}, set()), (set(), set())])
def test_too_few_scenes_are_refused(blurry: set[str], sharp: set[str]) -> None:
    with pytest.raises(UserError, match='too few scenes'):
        split_scenes(blurry, sharp, 0.6)
