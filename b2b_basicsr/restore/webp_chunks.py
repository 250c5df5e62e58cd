"""What a WebP file says about itself, besides its pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO

from b2b_basicsr.restore.orientation_tags import upright_exif, upright_xmp

_PICTURE = (b'ALPH', b'VP8 ', b'VP8L')
_PROFILE, _EXIF, _XMP = b'ICCP', b'EXIF', b'XMP '
_FLAGS = {_PROFILE: 0x20, _EXIF: 0x08, _XMP: 0x04}
_ALPHA_FLAG = 0x10
_JPEGS_START = b'Exif\0\0'


def with_chunks_of(source: IO[bytes], written: IO[bytes], size: tuple[int, int], alpha: bool, turned: bool) -> bytes:
    """A WebP file with the EXIF, XMP and ICC profile of another.

    Args:
        source: the other file; EXIF and XMP of it come to say upright.
        written: the file; what it says itself goes.
        size: its width and height in pixels.
        alpha: whether it has alpha.
        turned: whether width and height of the source have changed places.
    """
    said = dict(webp_chunks(source, tuple(_FLAGS)))
    if _EXIF in said:
        said[_EXIF] = upright_exif(said[_EXIF].removeprefix(_JPEGS_START), turned)
    if _XMP in said:
        said[_XMP] = upright_xmp(said[_XMP])
    flags = sum(_FLAGS[name] for name in said) | (_ALPHA_FLAG if alpha else 0)
    extended = bytes((flags, 0, 0, 0)) + b''.join((side - 1).to_bytes(3, 'little') for side in size)
    chunks = [
        (b'VP8X', extended),
        *((name, said[name]) for name in (_PROFILE,) if name in said),
        *webp_chunks(written, _PICTURE),
        *((name, said[name]) for name in (_EXIF, _XMP) if name in said),
    ]
    content = b'WEBP' + b''.join(_chunk(*chunk) for chunk in chunks)
    return b'RIFF' + len(content).to_bytes(4, 'little') + content


def webp_chunks(file: IO[bytes], wanted: tuple[bytes, ...]) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of those chunks of a WebP file that are wanted, in their order."""
    file.seek(12)
    while len(start := file.read(8)) == 8:
        name, length = start[:4], int.from_bytes(start[4:], 'little')
        skipped = length + length % 2
        if name in wanted:
            yield name, file.read(length)
            skipped = length % 2
        file.seek(skipped, os.SEEK_CUR)


def _chunk(name: bytes, payload: bytes) -> bytes:
    return name + len(payload).to_bytes(4, 'little') + payload + b'\0' * (len(payload) % 2)
