"""What a JPEG file says about itself, besides its pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from b2b_basicsr.restore.orientation_tags import upright_exif, upright_xmp

_START_OF_SCAN, _COMMENT = 0xDA, 0xFE
_APP0, _APP1, _APP2, _APP13, _APP15 = 0xE0, 0xE1, 0xE2, 0xED, 0xEF
_EXIF, _XMP, _MORE_XMP = b'Exif\0\0', b'http://ns.adobe.com/xap/1.0/\0', b'http://ns.adobe.com/xmp/extension/\0'
_CARRIED = {
    _APP1: (_XMP, _MORE_XMP),
    _APP2: (b'ICC_PROFILE\0',),
    _APP13: (b'',),
    _COMMENT: (b'',),
}
_JFIF = b'JFIF\0'
_NO_RESOLUTION = _JFIF + b'\1\2\0\0\1\0\1'
_NO_THUMBNAIL = b'\0\0'
_AT_ONCE = 1 << 20


def with_segments_of(source: IO[bytes], written: IO[bytes], turned: bool) -> Iterator[bytes]:
    """A JPEG file with the resolution, EXIF, XMP, IPTC, ICC profile and comments of another, piece by piece.

    Args:
        source: the other file; EXIF and XMP of it come to say upright.
        written: the file; what it says itself goes.
        turned: whether width and height of the source have changed places.
    """
    resolution, carried = _NO_RESOLUTION, []
    for marker, payload in _segments(source):
        if marker == _APP0 and payload.startswith(_JFIF):
            across, down = payload[8:10], payload[10:12]
            resolution = payload[:8] + (down + across if turned else across + down)
        elif marker == _APP1 and payload.startswith(_EXIF):
            carried.append((marker, _EXIF + upright_exif(payload[len(_EXIF) :], turned)))
        elif payload.startswith(_CARRIED.get(marker, ())):
            carried.append((marker, upright_xmp(payload) if marker == _APP1 else payload))
    coding = [(marker, payload) for marker, payload in _segments(written) if not _is_said(marker)]
    yield b'\xff\xd8'
    for segment in ((_APP0, resolution + _NO_THUMBNAIL), *carried, *coding):
        yield _segment(*segment)
    yield from iter(lambda: written.read(_AT_ONCE), b'')  # from the first scan on


def _is_said(marker: int) -> bool:
    return _APP0 <= marker <= _APP15 or marker == _COMMENT


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, 'big') + payload


def _segments(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Marker and payload of the segments before the first scan; then the file stands at that."""
    file.seek(2)
    while True:
        place = file.tell()
        start = file.read(4)
        if len(start) < 4 or start[0] != 0xFF or start[1] == _START_OF_SCAN:
            file.seek(place)
            return
        if start[1] == 0xFF:  # filling
            file.seek(place + 1)
            continue
        length = int.from_bytes(start[2:], 'big')  # which counts itself, but for what is broken
        yield start[1], file.read(max(length - 2, 0))
