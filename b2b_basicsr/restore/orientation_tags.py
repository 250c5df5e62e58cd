"""EXIF and XMP of a picture that has been turned upright; all else in them stays, byte for byte."""

from __future__ import annotations

import contextlib
import re
import struct

_ORIENTATION, _EXIF_FOLDER = 0x0112, 0x8769
_THUMBNAIL, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_WIDTH, _HEIGHT = 0xA002, 0xA003
_ENTRY = 12
_XMP_ORIENTATION = re.compile(rb'(tiff:Orientation(?:\s*=\s*["\']|>)\s*)[2-8](?=\s*["\'<])')


def upright_exif(exif: bytes, turned: bool) -> bytes:
    """EXIF that says upright, without the thumbnail, which would still be blurry.

    Args:
        exif: as in a TIFF file, from its byte order on; what cannot be read in it stays as it is.
        turned: whether width and height of the picture have changed places.
    """
    block = bytearray(exif)
    order = {b'II*\0': '<', b'MM\0*': '>'}.get(exif[:4])
    if order is None:
        return exif
    with contextlib.suppress(struct.error):  # it ends too early
        _make_upright(block, order, turned)
    return bytes(block)


def upright_xmp(xmp: bytes) -> bytes:
    """XMP that says upright; of the same length."""
    return _XMP_ORIENTATION.sub(rb'\g<1>1', xmp)


def _make_upright(block: bytearray, order: str, turned: bool) -> None:
    (first,) = struct.unpack_from(f'{order}I', block, 4)
    entries, link = _folder(block, order, first)
    if _ORIENTATION in entries:
        struct.pack_into(f'{order}HIHH', block, entries[_ORIENTATION] + 2, 3, 1, 1, 0)
    if turned and _EXIF_FOLDER in entries:
        inner, _ = _folder(block, order, _value(block, order, entries[_EXIF_FOLDER]))
        if _WIDTH in inner and _HEIGHT in inner:
            width, height = (slice(inner[tag] + 2, inner[tag] + _ENTRY) for tag in (_WIDTH, _HEIGHT))
            block[width], block[height] = block[height], block[width]
    (second,) = struct.unpack_from(f'{order}I', block, link)
    if second:
        struct.pack_into(f'{order}I', block, link, 0)
        entries, _ = _folder(block, order, second)
        if _THUMBNAIL in entries and _THUMBNAIL_LENGTH in entries:
            start, length = (_value(block, order, entries[tag]) for tag in (_THUMBNAIL, _THUMBNAIL_LENGTH))
            there = len(block[start : start + length])
            block[start : start + there] = bytes(there)


def _folder(block: bytearray, order: str, place: int) -> tuple[dict[int, int], int]:
    """Where the entries of a folder of tags are, by tag, and where the link to the next folder is."""
    (count,) = struct.unpack_from(f'{order}H', block, place)
    places = range(place + 2, place + 2 + count * _ENTRY, _ENTRY)
    return {struct.unpack_from(f'{order}H', block, entry)[0]: entry for entry in places}, place + 2 + count * _ENTRY


def _value(block: bytearray, order: str, entry: int) -> int:
    kind, _, value = struct.unpack_from(f'{order}HII', block, entry + 2)
    if kind == 3:  # two bytes, which come first
        (value,) = struct.unpack_from(f'{order}H', block, entry + 8)
    return int(value)
