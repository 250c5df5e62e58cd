"""TIFF files with the metadata of another."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from b2b_basicsr.errors import UserError

_EXIF, _GPS, _INTEROPERABILITY = 34665, 34853, 40965
_KEPT_FREE = 1
"""tifffile writes neither tag, but one of the number before it, which is then made into it."""
_ONE_LONG = 4
_XMP = 700
_CARRIED = {
    269: 'DocumentName',
    270: 'ImageDescription',
    271: 'Make',
    272: 'Model',
    285: 'PageName',
    305: 'Software',
    306: 'DateTime',
    315: 'Artist',
    316: 'HostComputer',
    _XMP: 'XMP',
    33432: 'Copyright',
    33723: 'IPTC',
    34377: 'Photoshop',
}
_ASSOCIATED_ALPHA = 1
_LARGEST_CLASSIC = 4_000_000_000


def write_tiff(path: Path, pixels: NDArray[Any], source: Path, xmp: bytes | None) -> None:
    """Writes a TIFF, losslessly compressed, with what another one says about itself.

    Args:
        path: of the new file.
        pixels: uint8 or uint16 [h, w, 1, 2, 3 or 4]: grey or RGB, the last of an even number being alpha.
        source: a TIFF whose descriptions, EXIF, GPS, XMP, IPTC, ICC profile, resolution and meaning of alpha are taken
            over; of the EXIF not in files over 4 GB.
        xmp: in place of the source's, if it has any.

    Raises:
        UserError: if the source's EXIF cannot be read.
        OSError: if it cannot be written.
    """
    big = pixels.nbytes > _LARGEST_CLASSIC
    with tifffile.TiffFile(source) as tiff:
        tags = tiff.pages[0].tags
        carried = [
            (tag.code, int(tag.dtype), tag.count, _raw(tag.value), True)
            for tag in tags.values()
            if tag.code in _CARRIED and tag.code != _XMP
        ]
        if xmp:
            carried.append((_XMP, 1, len(xmp), xmp, True))
        profile = tags.valueof(34675)
        resolution = tags.valueof(282), tags.valueof(283)
        unit = tags.valueof(296)
        extra = tags.valueof(338)
    folders = {} if big else _folders_of(source)
    alpha = ['assocalpha' if extra and _ASSOCIATED_ALPHA in np.atleast_1d(extra) else 'unassalpha']
    tifffile.imwrite(
        path,
        pixels[..., 0] if pixels.shape[2] == 1 else pixels,
        bigtiff=big,
        byteorder='<',
        photometric='rgb' if pixels.shape[2] > 2 else 'minisblack',
        planarconfig='contig' if pixels.shape[2] > 1 else None,
        extrasamples=alpha if pixels.shape[2] % 2 == 0 else None,
        compression='zlib',
        predictor=True,
        iccprofile=profile,
        resolution=resolution if all(resolution) else None,
        resolutionunit=unit if all(resolution) else None,
        metadata=None,
        software=False,
        extratags=[*carried, *((code - _KEPT_FREE, 'I', 1, 0, True) for code in folders)],
    )
    if folders:
        _append_folders(path, folders)


def _folders_of(source: Path) -> dict[int, dict[int, Any]]:
    exif = Image.Exif()
    try:
        with source.open('rb') as file:
            exif.load_from_fp(file)
            folders = {code: dict(content) for code in (_EXIF, _GPS) if (content := exif.get_ifd(code))}
    except Exception as cause:  # Pillow raises whatever broken tags make it raise
        raise UserError(f'its EXIF cannot be read ({type(cause).__name__}: {cause}); mend or remove it') from cause
    folders.get(_EXIF, {}).pop(_INTEROPERABILITY, None)  # a place in the old file
    return folders


def _raw(value: Any) -> Any:
    return int(value) if isinstance(value, np.integer) else value


def _append_folders(path: Path, folders: dict[int, dict[int, Any]]) -> None:
    """Puts the folders of tags behind all else, and where they are into the tags that were kept free for that."""
    with path.open('r+b') as file:
        with tifffile.TiffFile(path) as tiff:
            entries = {code: tiff.pages[0].tags[code - _KEPT_FREE].offset for code in folders}
        for code, content in folders.items():
            end = file.seek(0, io.SEEK_END)
            place = end + file.write(b'\0' * (end % 2))
            folder = ImageFileDirectory_v2(b'II*\0\0\0\0\0', group=code)
            for tag, value in content.items():
                folder[tag] = value
            file.write(folder.tobytes(place))
            file.seek(entries[code])
            file.write(struct.pack('<HHII', code, _ONE_LONG, 1, place))
