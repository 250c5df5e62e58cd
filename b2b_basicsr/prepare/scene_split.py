"""Scenes shared out between B and S, so that none is in both."""

from __future__ import annotations

import math
from collections.abc import Collection

from b2b_basicsr.errors import UserError


def split_scenes(blurry: Collection[str], sharp: Collection[str], ratio: float) -> tuple[list[str], list[str]]:
    """Scenes of B and of S, both sorted.

    Scenes that stand on one side alone stay there. Of the n that stand on both, B takes the first floor(ratio * n) and
    S the others, moved by one where a side would be left with nothing.

    Args:
        blurry: names of the scenes with blurry pictures.
        sharp: names of the scenes with sharp pictures.
        ratio: B's share, in (0, 1).

    Raises:
        UserError: if there are too few scenes for both sides to have one.

    Example:
        >>> split_scenes(['a', 'b', 'c', 'd'], ['b', 'c', 'd', 'e'], 0.6)
        (['a', 'b'], ['c', 'd', 'e'])
    """
    common = sorted(set(blurry) & set(sharp))
    blurry_alone = sorted(set(blurry) - set(sharp))
    sharp_alone = sorted(set(sharp) - set(blurry))
    # 0.29 * 100 is 28.999...96 in binary
    border = math.floor(round(ratio * len(common), 9))
    if not blurry_alone:
        border = max(border, 1)
    if not sharp_alone:
        border = min(border, len(common) - 1)
    first, second = blurry_alone + common[: max(border, 0)], sharp_alone + common[max(border, 0) :]
    if not first or not second:
        names = ', '.join(sorted({*blurry, *sharp})[:3]) or 'none'
        raise UserError(
            f'too few scenes ({names}) to share out: B and S need one each, as they must not show the same; a scene is '
            'a folder of frames (see --scene-pattern) or a video'
        )
    return sorted(first), sorted(second)
