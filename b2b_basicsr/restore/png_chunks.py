"""What a PNG file says about itself, besides its pixels."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterator
from typing import IO

from b2b_basicsr.restore.orientation_tags import upright_exif, upright_xmp

_SIGNATURE = b'\x89PNG\r\n\x1a\n'
_OF_PIXELS = (b'IHDR', b'IDAT', b'IEND')
_COLOURS = (b'cICP', b'iCCP', b'sRGB', b'gAMA', b'cHRM', b'mDCV', b'mDCv', b'cLLI', b'cLLi')
_TEXTS = (b'tEXt', b'zTXt', b'iTXt')
_CARRIED = (*_COLOURS, b'pHYs', b'eXIf', b'tIME', *_TEXTS)
_XMP = b'XML:com.adobe.xmp\0'
_LONGEST_XMP = 1 << 24
_PLAIN = b'\0\0\0\0'
"""Not compressed, no language, no translated keyword."""


def with_chunks_of(source: IO[bytes], written: IO[bytes], turned: bool) -> Iterator[bytes]:
    """A PNG file with the meaning of colours, resolution, EXIF, XMP, texts and time of another, piece by piece.

    Args:
        source: the other file; EXIF and XMP of it come to say upright.
        written: the file; what it says itself goes.
        turned: whether width and height of the source have changed places.
    """
    yield _SIGNATURE
    for name, payload in _chunks(written, _OF_PIXELS):
        yield _chunk(name, payload)
        if name == b'IHDR':
            for said in _chunks(source, _CARRIED):
                yield _chunk(*_upright(*said, turned))


def _upright(name: bytes, payload: bytes, turned: bool) -> tuple[bytes, bytes]:
    if name == b'eXIf':
        payload = upright_exif(payload, turned)
    elif name == b'pHYs' and turned:
        payload = payload[4:8] + payload[:4] + payload[8:]
    elif name in _TEXTS and payload.startswith(_XMP):
        with contextlib.suppress(zlib.error, IndexError):  # else as it is: nobody can read it
            return b'iTXt', _XMP + _PLAIN + upright_xmp(_xmp_in(name, payload[len(_XMP) :]))
    return name, payload


def _xmp_in(name: bytes, text: bytes) -> bytes:
    """XMP in a text; libvips writes it into one that is not meant for it."""
    if name == b'tEXt':
        return text
    if name == b'zTXt':
        return _unpacked(text[1:])
    content = text[2:].split(b'\0', 2)[2]
    return _unpacked(content) if text[0] else content


def _unpacked(packed: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    text = unpacking.decompress(packed, _LONGEST_XMP)
    if not unpacking.eof:
        raise zlib.error('cut off, or far longer than XMP is')
    return text


def _chunk(name: bytes, payload: bytes) -> bytes:
    return len(payload).to_bytes(4, 'big') + name + payload + zlib.crc32(payload, zlib.crc32(name)).to_bytes(4, 'big')


def _chunks(file: IO[bytes], wanted: tuple[bytes, ...]) -> Iterator[tuple[bytes, bytes]]:
    file.seek(len(_SIGNATURE))
    while len(start := file.read(8)) == 8:
        length, name = int.from_bytes(start[:4], 'big'), start[4:]
        if name in wanted:
            yield name, file.read(length)
            length = 0
        file.seek(length + 4, os.SEEK_CUR)
