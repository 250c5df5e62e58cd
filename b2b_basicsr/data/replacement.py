"""Another picture in the place of one that cannot be read while a training runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from b2b_basicsr.data.sample_key import SampleKey
from b2b_basicsr.errors import UserError

ATTEMPTS = 20
"""Pictures tried in the place of one, before it is taken that all of them are gone."""


def drawn_again(key: SampleKey, draw: Callable[[SampleKey], Mapping[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """A part of a sample; where its picture cannot be read, another's, drawn anew.

    What is drawn instead is a function of the key and of how many have been tried: the same in all workers and in a
    resumed training, as long as the same pictures are broken.

    Args:
        key: the sample's place in the training.
        draw: makes the part from the key, or from the same one of another ``attempt``. What it raises of ``UserError``
            and ``OSError`` is about a picture.

    Returns:
        The part, and what was wrong with the pictures that it was not made of: one line each.

    Raises:
        UserError: if none of the pictures can be read.
    """
    broken: list[str] = []
    for attempt in range(ATTEMPTS + 1):
        try:
            return dict(draw(key._replace(attempt=attempt))), broken
        except (UserError, OSError) as cause:
            line = ' '.join(str(cause).split())
            last = cause
            if line not in broken:
                broken.append(line)
    raise UserError(
        f'{broken[0]}; nor can one of the {ATTEMPTS} be read that were drawn in its place: is the disk still there?'
    ) from last
