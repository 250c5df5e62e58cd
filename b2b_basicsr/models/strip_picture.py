"""Rows of pictures side by side, under names, in one picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Levels = NDArray[np.uint8]

_GAP = 4
_TITLE_HEIGHT = 20


def strip_picture(rows: Sequence[Mapping[str, Levels]]) -> Levels:
    """Puts rows of pictures below each other, with the first row's names as titles.

    Args:
        rows: at least one; in each, name -> uint8 [h, w, 3].

    Returns:
        uint8 [height, width, 3], in the channel order of the pictures, on white.
    """
    font = ImageFont.load_default()
    widths = [
        max(math.ceil(font.getlength(name)) + _GAP, *(list(row.values())[column].shape[1] for row in rows))
        for column, name in enumerate(rows[0])
    ]
    heights = [max(picture.shape[0] for picture in row.values()) for row in rows]
    width = sum(widths) + _GAP * (len(widths) - 1)
    height = _TITLE_HEIGHT + sum(heights) + _GAP * (len(heights) - 1)
    sheet = Image.new('RGB', (width, height), 'white')
    draw = ImageDraw.Draw(sheet)
    left = 0
    for column, (name, column_width) in enumerate(zip(rows[0], widths, strict=True)):
        draw.text((left + column_width / 2, _TITLE_HEIGHT / 2), name, fill='black', anchor='mm', font=font)
        top = _TITLE_HEIGHT
        for row, row_height in zip(rows, heights, strict=True):
            sheet.paste(Image.fromarray(list(row.values())[column]), (left, top))
            top += row_height + _GAP
        left += column_width + _GAP
    return np.asarray(sheet)
