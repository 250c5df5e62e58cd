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
from b2b_basicsr.restore.orientation_tags import upright_xmp

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
_TEXT = 2
_OF_BYTES = (1, _TEXT, 6, 7)
_ASSOCIATED_ALPHA = 1
_LARGEST_CLASSIC = 4_000_000_000


def write_tiff(path: Path, pixels: NDArray[Any], source: Path, turned: bool) -> None:
    """Writes a TIFF, losslessly compressed, with what another one says about itself.

    Args:
        path: of the new file.
        pixels: uint8 or uint16 [h, w, 1, 2, 3 or 4]: grey or RGB, the last of an even number being alpha.
        source: a TIFF whose descriptions, EXIF, GPS, XMP, IPTC, ICC profile, resolution and meaning of alpha are taken
            over, the XMP saying upright; EXIF and GPS not to files over 4 GB, nor from a big-endian BigTIFF.
        turned: whether width and height of the source have changed places.

    Raises:
        UserError: if the source's EXIF cannot be read.
        OSError: if it cannot be written.
    """
    big = pixels.nbytes > _LARGEST_CLASSIC
    with tifffile.TiffFile(source) as tiff:
        tags = tiff.pages[0].tags
        carried = [_carried(tiff.filehandle, tag) for tag in tags.values() if tag.code in _CARRIED]
        profile = tags.valueof(34675)
        resolution = tags.valueof(282), tags.valueof(283)
        unit = tags.valueof(296)
        associated = _ASSOCIATED_ALPHA in np.atleast_1d(tags.valueof(338, 0))
        folders = {} if big else _folders_of(source)
    if turned:
        resolution = resolution[::-1]
    if associated:
        pixels = _multiplied(pixels)
    alpha = ['assocalpha' if associated else 'unassalpha']
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
            head = file.read(16)
            if head.startswith(b'MM\0+'):  # a BigTIFF of the byte order in which Pillow cannot read them
                return {}
            exif.bigtiff = head.startswith(b'II+\0')
            if exif.bigtiff:  # whose header Pillow takes for a classic one here
                exif.endian = '<'
                exif.load_from_fp(file, *struct.unpack('<Q', head[8:]))
            else:
                file.seek(0)
                exif.load_from_fp(file)
            folders = {code: dict(content) for code in (_EXIF, _GPS) if (content := exif.get_ifd(code))}
    except Exception as cause:  # Pillow raises whatever broken tags make it raise
        raise UserError(f'its EXIF cannot be read ({type(cause).__name__}: {cause}); mend or remove it') from cause
    folders.get(_EXIF, {}).pop(_INTEROPERABILITY, None)  # a place in the old file
    return folders


def _carried(file: Any, tag: tifffile.TiffTag) -> tuple[int, int, int, Any, bool]:
    """The tag as tifffile writes it."""
    kind, value = int(tag.dtype), tag.value
    if kind in _OF_BYTES:  # byte for byte: texts may have any coding, and tifffile writes no str but ASCII
        file.seek(tag.valueoffset)
        value = file.read(tag.valuebytecount)
    if tag.code == _XMP and isinstance(value, bytes):
        value = upright_xmp(value)
    return tag.code, kind, tag.count, int(value) if isinstance(value, np.integer) else value, True


def _multiplied(pixels: NDArray[Any]) -> NDArray[Any]:
    """Colours multiplied by alpha, as they are in files with associated alpha; libvips divides them when it reads."""
    alpha, most = pixels[..., -1:], int(np.iinfo(pixels.dtype).max)
    product = pixels[..., :-1].astype(np.uint64) * alpha
    # rounded up, since libvips rounds down: colours that have not changed come out as they were
    colours = ((product + (most - 1)) // most).astype(pixels.dtype)
    return np.concatenate((colours, alpha), axis=2)


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
                if isinstance(value, str):
                    folder.tagtype[tag] = _TEXT
                folder[tag] = value.encode('latin-1') if isinstance(value, str) else value  # as Pillow read it
            file.write(folder.tobytes(place))
            file.seek(entries[code])
            file.write(struct.pack('<HHII', code, _ONE_LONG, 1, place))
