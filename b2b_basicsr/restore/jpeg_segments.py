"""What a JPEG file says about itself, besides its pixels."""

from __future__ import annotations

from collections.abc import Iterator

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


def with_segments_of(source: bytes, written: bytes, turned: bool) -> bytes:
    """A JPEG file with the resolution, EXIF, XMP, IPTC, ICC profile and comments of another.

    Args:
        source: the other file; EXIF and XMP of it come to say upright.
        written: the file; what it says itself goes.
        turned: whether width and height of the source have changed places.
    """
    resolution, carried = _NO_RESOLUTION, []
    for marker, payload, _ in _segments(source):
        if marker == _APP0 and payload.startswith(_JFIF):
            across, down = payload[8:10], payload[10:12]
            resolution = payload[:8] + (down + across if turned else across + down)
        elif marker == _APP1 and payload.startswith(_EXIF):
            carried.append((marker, _EXIF + upright_exif(payload[len(_EXIF) :], turned)))
        elif payload.startswith(_CARRIED.get(marker, ())):
            carried.append((marker, upright_xmp(payload) if marker == _APP1 else payload))
    coding = [(marker, payload) for marker, payload, _ in _segments(written) if not _is_said(marker)]
    scan = max((end for _, _, end in _segments(written)), default=2)
    segments = [(_APP0, resolution + _NO_THUMBNAIL), *carried, *coding]
    return b'\xff\xd8' + b''.join(_segment(*segment) for segment in segments) + written[scan:]


def _is_said(marker: int) -> bool:
    return _APP0 <= marker <= _APP15 or marker == _COMMENT


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, 'big') + payload


def _segments(content: bytes) -> Iterator[tuple[int, bytes, int]]:
    """The segments before the first scan: marker, payload, and where it ends."""
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # filling
            place += 1
            continue
        if marker == _START_OF_SCAN:
            return
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], 'big')
        yield marker, content[place + 4 : end], end
        place = end
