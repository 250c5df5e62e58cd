from __future__ import annotations

from pathlib import Path

import pytest

from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.untrusted_members import LARGEST_PICTURE, SizeBound, safe_key_parts

ARCHIVE = Path('set.zip')


def test_a_key_becomes_the_parts_of_a_path() -> None:
    assert safe_key_parts('scene%201/./v1%2E2//x') == ('scene%201', 'v1%2E2', 'x')
    assert safe_key_parts('..x/y..') == ('..x', 'y..')


@pytest.mark.parametrize('key', ['/etc/x', '../x', 'a/../../x', 'a/..', '..\\x', 'a\0b', 'C:/x', 'c:x', '', '.', './'])
def test_a_key_that_leads_out_is_refused(key: str) -> None:
    with pytest.raises(UserError, match='leads out of its folder'):
        safe_key_parts(key)


def test_the_bound_of_a_picture_is_for_pictures() -> None:
    bound = SizeBound(10 * LARGEST_PICTURE)
    bound.add(ARCHIVE, 'clip.mp4', LARGEST_PICTURE + 1)
    bound.add(ARCHIVE, 'extras/features.mat', LARGEST_PICTURE + 1)
    with pytest.raises(UserError, match='more than a picture may have'):
        bound.add(ARCHIVE, 'a.PNG', LARGEST_PICTURE + 1)


def test_no_size_is_below_zero() -> None:
    with pytest.raises(UserError, match='refused'):
        SizeBound(10).add(ARCHIVE, 'features.mat', -1)
