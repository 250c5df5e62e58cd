"""PNG files of the commonest kind, of which no more is decoded than a crop needs."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import IO

from PIL import Image

from b2b_basicsr.data.random_crop import Box, Size

_SIGNATURE = b'\x89PNG\r\n\x1a\n'
_IHDR = 13
_RGB_OF_8_BITS = b'\x08\x02\0\0\0'
"""Depth, colour type, compression, filters, and not interlaced."""
_NOT_FOR_PIXELS = (
    *(b'IHDR', b'PLTE', b'IDAT', b'IEND'),
    *(b'gAMA', b'cHRM', b'sRGB', b'iCCP', b'cICP', b'sBIT', b'bKGD', b'hIST', b'pHYs', b'tIME'),
)
_TEXTS = (b'tEXt', b'zTXt', b'iTXt')
_TEXTS_THAT_MAY_TURN = (b'XML:', b'Raw profile type ')
_BICUBIC_RADIUS = 2


def plain_png_size(file: IO[bytes]) -> Size | None:
    """Width and height of a plain PNG: 8-bit RGB, whole, shown as it is stored; ``None`` for every other file.

    Only the chunks' headers are read. Pillow would decode the whole picture to tell whether EXIF turns it.

    Args:
        file: at its beginning.
    """
    if file.read(8) != _SIGNATURE:
        return None
    size: Size | None = None
    while len(start := file.read(8)) == 8:
        length, name = int.from_bytes(start[:4], 'big'), start[4:]
        if name == b'IEND':
            return size if size and all(size) else None
        if name == b'IHDR':
            header = file.read(_IHDR)
            if length != _IHDR or header[8:] != _RGB_OF_8_BITS:
                return None
            size = int.from_bytes(header[:4], 'big'), int.from_bytes(header[4:8], 'big')
            length = 0
        elif name in _TEXTS:
            keyword = file.read(min(length, 80))
            if keyword.startswith(_TEXTS_THAT_MAY_TURN):
                return None
            length -= len(keyword)
        elif name not in _NOT_FOR_PIXELS:
            return None
        file.seek(length + 4, os.SEEK_CUR)
    return None


class PlainPng:
    """A plain PNG in memory, with what :class:`RandomCrop` needs of a Pillow picture, and the same pixels.

    libvips decodes it, faster than Pillow (whole pictures 1.4 to 1.8 times, by their contents), and no further than the
    lowest row that is needed: a crop in the upper half about 3 times as fast.

    Args:
        content: the file.
        size: what :func:`plain_png_size` says.
        whole: has Pillow decode it; called where libvips finds fault with the file, and so decides whether it is read.
    """

    def __init__(self, content: bytes, size: Size, whole: Callable[[], Image.Image]) -> None:
        self.size = size
        self._content, self._whole = content, whole

    def crop(self, box: Box) -> Image.Image:
        """The pixels in a box that lies within the picture."""
        part = self._part(box)
        return self._whole().crop(box) if part is None else part

    def resize(self, size: Size, resample: int, box: tuple[float, float, float, float]) -> Image.Image:
        """As Pillow's, to the bit, for filters that are no wider than the bicubic one."""
        needed = self._needed(size, box)
        part = self._part(needed)
        if part is None:
            return self._whole().resize(size, resample, box=box)
        # On a canvas as large as the picture the box has the same coordinates, which Pillow rounds to 32-bit floats.
        # Pillow takes it from the system cleared, and what is never touched costs nothing.
        canvas = Image.new('RGB', self.size, None)
        canvas.paste(part, needed[:2])
        return canvas.resize(size, resample, box=box)

    def _needed(self, size: Size, box: tuple[float, float, float, float]) -> Box:
        first, last = [], []
        for axis in range(2):
            start, end, limit = box[axis], box[axis + 2], self.size[axis]
            reach = _BICUBIC_RADIUS * max((end - start) / size[axis], 1) + 1
            first.append(max(math.floor(start - reach), 0))
            last.append(min(math.ceil(end + reach), limit))
        return first[0], first[1], last[0], last[1]

    def _part(self, box: Box) -> Image.Image | None:
        vips = _vips()
        left, top, right, bottom = box
        width, height = right - left, bottom - top
        try:
            # A source reads the bytes where they are; pngload_buffer would copy the file first.
            source = vips.Source.new_from_memory(self._content)
            picture = vips.Image.pngload_source(source, access='sequential', fail_on='warning')
            if (picture.width, picture.height, picture.bands, picture.format) != (*self.size, 3, 'uchar'):
                return None
            # Region.fetch decodes in this very thread. Other ways start libvips' own, beside the other workers', which
            # a forked process would wait for in vain.
            pixels = vips.Region.new(picture).fetch(left, top, width, height)
        except vips.Error:
            return None
        return Image.frombuffer('RGB', (width, height), pixels, 'raw', 'RGB', 0, 1)


@cache
def _vips() -> ModuleType:
    """pyvips, its cache of operations turned off: for the whole process, whoever else uses pyvips there."""
    import pyvips

    # It would keep the last 100 files in memory, in case one is asked for again.
    pyvips.cache_set_max(0)
    module: ModuleType = pyvips
    return module
