"""What a picture file holds, decoded by Pillow: hostile files are refused, unusual ones become 8-bit RGB."""

from __future__ import annotations

import io
import math
import os
import zlib
from functools import cache
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError

from b2b_basicsr.errors import UserError

Size = tuple[int, int]

LIMIT_VARIABLE = 'B2B_MAX_PIXELS'
"""Environment variable: the pixels of the largest picture that is read."""

_FORMATS = ('JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP', 'DIB', 'PPM', 'GIF')
"""Pillow's other readers are for kinds that no picture set holds; one of them starts Ghostscript."""

_PNG = b'\x89PNG\r\n\x1a\n'
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNED = (5, 6, 7, 8)
_WIDTH, _HEIGHT = 256, 257
_BITS, _PHOTOMETRIC, _BLACK_IS_ZERO = 258, 262, 1


def most_pixels() -> float:
    """The pixels of the largest picture that is read: twice Pillow's ``MAX_IMAGE_PIXELS``, where Pillow refuses too.

    ``B2B_MAX_PIXELS`` sets both, for the whole process.

    Raises:
        UserError: if that is no number above zero.
    """
    _set_by_environment()
    return math.inf if Image.MAX_IMAGE_PIXELS is None else 2 * Image.MAX_IMAGE_PIXELS


@cache
def _set_by_environment() -> None:
    given = os.environ.get(LIMIT_VARIABLE)
    if not given:
        return
    if not given.isdecimal() or not int(given):
        raise UserError(f'{LIMIT_VARIABLE}: {given!r}; give the pixels of the largest picture, as 400000000')
    Image.MAX_IMAGE_PIXELS = math.ceil(int(given) / 2)


def refuse_bomb(size: Size) -> None:
    """Refuses a picture so large that it may be made to fill the memory.

    Args:
        size: its width and height in pixels.

    Raises:
        UserError: that says how to lift the limit.
    """
    if size[0] * size[1] > most_pixels():
        raise UserError(
            f'{size[0]}x{size[1]} pixels, more than {most_pixels():.0f}: it could be a decompression bomb; if it is '
            f'none, set {LIMIT_VARIABLE}={size[0] * size[1]} in the environment'
        )


def open_header(file: IO[bytes]) -> Image.Image:
    """The picture, its header read and its size found to be in bounds; not decoded.

    Raises:
        UserError: if it is empty, of no kind that is read, or too large.
        Exception: whatever a broken file makes Pillow raise.
    """
    most_pixels()
    try:
        picture = Image.open(file, formats=_FORMATS)
    except UnidentifiedImageError as cause:
        empty = not file.seek(0, os.SEEK_END)
        raise UserError(
            'empty, zero bytes' if empty else 'no JPEG, PNG, WebP, TIFF, BMP, PPM or GIF of a kind that can be read'
        ) from cause
    except Image.DecompressionBombError as cause:
        raise UserError(
            f'{cause} If it is none, set {LIMIT_VARIABLE} in the environment to the pixels that it has'
        ) from cause
    return picture


def header_size(file: IO[bytes]) -> Size:
    """Width and height in pixels of a picture as it is shown, from its header alone where that says it.

    Args:
        file: at its beginning; it stays open.

    Raises:
        As :func:`open_header`.
    """
    picture = open_header(file)
    if picture.format == 'PNG' and 'exif' not in picture.info:
        picture.load()  # EXIF may stand behind the pixels
    # Of TIFF, Pillow says one or the other size, by its version.
    tags = getattr(picture, 'tag_v2', {}) if picture.format == 'TIFF' else {}
    width, height = tags.get(_WIDTH, picture.width), tags.get(_HEIGHT, picture.height)
    return (height, width) if _orientation(picture) in _TURNED else (width, height)


def decoded(content: bytes) -> Image.Image:
    """A whole picture: 8-bit RGB, of several (pages, animations) the first, EXIF orientation applied.

    16 bits lose the lower 8, alpha is left out, EXIF that cannot be read is passed over.

    Raises:
        UserError: if it is truncated, broken, too large, of no kind that is read, or has grey of 32 bits or floating
            point; the message says why, without a name.
    """
    try:
        picture = open_header(io.BytesIO(content))
        _refuse_wrong_checksums(content)
        if picture.mode.startswith(('I', 'F')):
            return _turned(_upper_bits(picture), _orientation(picture))
        picture.load()
        orientation = _orientation(picture)
        # Converted only where it is something else: it would copy the picture.
        return _turned(picture if picture.mode == 'RGB' else picture.convert('RGB'), orientation)
    except UserError:
        raise
    except Exception as cause:  # Pillow's plugins raise whatever a broken file makes them raise
        raise UserError(' '.join(str(cause).split()) or type(cause).__name__) from cause


def _orientation(picture: Image.Image) -> int:
    try:
        value = picture.getexif().get(_ORIENTATION)
    except Exception:  # whatever broken EXIF makes Pillow raise
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    # Not ImageOps.exif_transpose, which writes the EXIF anew and fails where a part of it is broken.
    return picture.transpose(_TURNS[orientation]) if orientation in _TURNS else picture


def _upper_bits(picture: Image.Image) -> Image.Image:
    tags = getattr(picture, 'tag_v2', {})
    known = picture.format == 'PNG' or (tags.get(_BITS) == (16,) and tags.get(_PHOTOMETRIC) == _BLACK_IS_ZERO)
    if not picture.mode.startswith('I;16') or not known:
        raise UserError(
            f'{picture.mode}: grey of more than 8 bits, whose range cannot be told and which would be clipped; save it '
            'with 8, or as PNG with 16'
        )
    return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert('RGB')


def _refuse_wrong_checksums(content: bytes) -> None:
    """Pillow decodes the pixels of a PNG without comparing their checksums."""
    if not content.startswith(_PNG):
        return
    view, place = memoryview(content), len(_PNG)
    while place + 12 <= len(view):
        end = place + 8 + int.from_bytes(view[place : place + 4], 'big')
        sum_said = view[end : end + 4]
        is_whole = view[place + 4 : place + 8] == b'IDAT' and len(sum_said) == 4
        if is_whole and zlib.crc32(view[place + 4 : end]) != int.from_bytes(sum_said, 'big'):
            raise UserError('the checksum of its pixels is wrong: the file is damaged')
        place = end + 4
