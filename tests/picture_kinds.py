"""Picture files of every kind, sound and broken, by the words that docs/pictures.md has for them."""

from __future__ import annotations

import io
import os
import socket
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyvips
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

WIDTH, HEIGHT = 40, 24
Levels = NDArray[np.uint8]


def photograph(width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> Levels:
    """Smooth colours without a pattern: uint8 [height, width, 3]."""
    small = np.random.default_rng(seed).integers(40, 216, (4, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def encoded(kind: str, picture: Image.Image | None = None, **options: Any) -> bytes:
    """A picture, by default :func:`photograph`, in Pillow's format ``kind``."""
    file = io.BytesIO()
    (picture or Image.fromarray(photograph())).save(file, kind, **options)
    return file.getvalue()


def png_chunk(name: bytes, payload: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack('>I', len(payload)) + name + payload + struct.pack('>I', zlib.crc32(name + payload))


def png(width: int, height: int, rows: bytes, depth: int = 8, colours: int = 2, before: bytes = b'') -> bytes:
    """A PNG that claims a size, whatever ``rows``, the content of its zlib stream's file, hold."""
    header = struct.pack('>IIBBBBB', width, height, depth, colours, 0, 0, 0)
    return (
        b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', header) + before + png_chunk(b'IDAT', rows) + png_chunk(b'IEND', b'')
    )


@cache
def bomb(width: int, height: int) -> bytes:
    """A small PNG, whole and right, of a huge grey picture of one bit a pixel."""
    packer, row = zlib.compressobj(9), bytes(1 + -(-width // 8))
    rows = b''.join(packer.compress(row) for _ in range(height)) + packer.flush()
    return png(width, height, rows, depth=1, colours=0)


def with_orientation(value: int) -> Image.Exif:
    """EXIF with that orientation."""
    tags = Image.Exif()
    tags[0x0112] = value
    return tags


def _tiff(levels: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, levels, **options)
    return file.getvalue()


def _deep(levels: NDArray[Any]) -> NDArray[np.uint16]:
    return levels.astype(np.uint16) * 257


def _grey() -> Image.Image:
    return Image.fromarray(photograph()).convert('L')


def _rgba() -> Image.Image:
    alpha = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
    alpha[:, WIDTH // 2 :] = 255
    return Image.fromarray(np.concatenate((photograph(), alpha), axis=2))


def _vips(levels: NDArray[Any], **options: Any) -> bytes:
    return bytes(pyvips.Image.new_from_array(levels).pngsave_buffer(**options))


def _cv2(suffix: str, levels: NDArray[Any]) -> bytes:
    return bytes(cv2.imencode(suffix, levels)[1])


def _two(kind: str, **options: Any) -> bytes:
    return encoded(kind, save_all=True, append_images=[Image.fromarray(photograph(seed=1))], **options)


def _cut(content: bytes, share: float = 0.7) -> bytes:
    return content[: int(len(content) * share)]


def _white_rows() -> bytes:
    return zlib.compress((b'\0' + b'\x86' * 3 * WIDTH) * HEIGHT)


@cache
def _text_bomb() -> bytes:
    packed = zlib.compress(bytes(1 << 26), 9)
    text = png_chunk(b'zTXt', b'XML:com.adobe.xmp\0\0' + packed)
    return png(WIDTH, HEIGHT, _white_rows(), before=text)


def _wrong_checksum() -> bytes:
    content = bytearray(encoded('PNG'))
    content[-13] ^= 255  # the last byte of the checksum of what holds the pixels
    return bytes(content)


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('picture.png', encoded('PNG'))
    return file.getvalue()


def _pattern(kind: str) -> bytes:
    return encoded(kind, Image.fromarray(photograph()).quantize(16))


def _transparent_palette() -> bytes:
    return encoded('PNG', Image.fromarray(photograph()).quantize(16), transparency=0)


def _exif_of(raw: bytes) -> bytes:
    return encoded('JPEG', exif=b'Exif\0\0' + raw)


def _in_file(name: str, make: Callable[[], bytes]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(make())
        return path

    return write


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / 'fifo.png')
    return folder / 'fifo.png'


def _socket(folder: Path) -> Path:
    # its path may be too long where the test lies
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as made:
        made.bind(f'{short}/s')
        os.rename(f'{short}/s', folder / 'socket.png')
    return folder / 'socket.png'


def _device(folder: Path) -> Path:
    (folder / 'device.png').symlink_to('/dev/zero')
    return folder / 'device.png'


def _broken_link(folder: Path) -> Path:
    (folder / 'link.png').symlink_to('nowhere.png')
    return folder / 'link.png'


def _own_link(folder: Path) -> Path:
    (folder / 'round.png').symlink_to('round.png')
    return folder / 'round.png'


def _linked(folder: Path) -> Path:
    (folder / '.real.png').write_bytes(encoded('PNG'))
    (folder / 'link.png').symlink_to('.real.png')
    return folder / 'link.png'


def _circle(folder: Path) -> Path:
    (folder / 'a').mkdir()
    (folder / 'a' / 'b').symlink_to('..')
    return _in_file('a/in.png', lambda: encoded('PNG'))(folder)


def _unreadable(folder: Path) -> Path:
    path = _in_file('locked.png', lambda: encoded('PNG'))(folder)
    path.chmod(0)
    return path


def _folder_named_png(folder: Path) -> Path:
    (folder / 'folder.png').mkdir()
    return _in_file('folder.png/in.png', lambda: encoded('PNG'))(folder)


KINDS: dict[str, dict[str, Callable[[Path], Path]]] = {
    'JPEG': {
        'rgb': _in_file('rgb.jpg', lambda: encoded('JPEG', quality=95)),
        'progressive': _in_file('progressive.jpg', lambda: encoded('JPEG', progressive=True)),
        'subsampled': _in_file('411.jpg', lambda: encoded('JPEG', subsampling='4:1:1')),
        'grey': _in_file('grey.jpg', lambda: encoded('JPEG', _grey())),
        'named .png': _in_file('jpeg.png', lambda: encoded('JPEG')),
    },
    'PNG': {
        'rgb': _in_file('rgb.png', lambda: encoded('PNG')),
        'interlaced': _in_file('interlaced.png', lambda: _vips(photograph(), interlace=True)),
        'grey': _in_file('grey.png', lambda: encoded('PNG', _grey())),
        'named .jpg': _in_file('png.jpg', lambda: encoded('PNG')),
    },
    'WebP': {
        'lossy': _in_file('lossy.webp', lambda: encoded('WEBP')),
        'lossless': _in_file('lossless.webp', lambda: encoded('WEBP', lossless=True)),
    },
    'TIFF': {
        'plain': _in_file('rgb.tif', lambda: encoded('TIFF')),
        'packed': _in_file('lzw.tiff', lambda: encoded('TIFF', compression='tiff_lzw')),
        'planes': _in_file(
            'planar.tif', lambda: _tiff(photograph().transpose(2, 0, 1), photometric='rgb', planarconfig='separate')
        ),
    },
    'BMP': {
        'rgb': _in_file('rgb.bmp', lambda: encoded('BMP')),
        'palette': _in_file('palette.bmp', lambda: _pattern('BMP')),
        'grey': _in_file('grey.bmp', lambda: encoded('BMP', _grey())),
    },
    'PPM, PGM': {
        'rgb': _in_file('rgb.ppm', lambda: encoded('PPM')),
        'grey': _in_file('grey.pgm', lambda: encoded('PPM', _grey())),
    },
    'GIF under another name': {'gif': _in_file('gif.png', lambda: _pattern('GIF'))},
    'palette': {
        'png': _in_file('palette.png', lambda: _pattern('PNG')),
        'tiff': _in_file('palette.tif', lambda: _pattern('TIFF')),
    },
    'palette with transparency': {'png': _in_file('transparent.png', _transparent_palette)},
    '1 bit': {
        'png': _in_file('bit.png', lambda: encoded('PNG', _grey().convert('1'))),
        'tiff': _in_file('bit.tif', lambda: encoded('TIFF', _grey().convert('1'))),
    },
    'with alpha': {
        'rgba': _in_file('rgba.png', lambda: encoded('PNG', _rgba())),
        'grey': _in_file('la.png', lambda: encoded('PNG', _rgba().convert('LA'))),
        'webp': _in_file('rgba.webp', lambda: encoded('WEBP', _rgba(), lossless=True, exact=True)),
        'tiff': _in_file('rgba.tif', lambda: encoded('TIFF', _rgba())),
    },
    'RGB of 16 bits': {
        'png': _in_file('deep.png', lambda: _cv2('.png', _deep(photograph()[..., ::-1]))),
        'tiff': _in_file('deep.tif', lambda: _tiff(_deep(photograph()), photometric='rgb')),
    },
    'grey of 16 bits': {
        'png': _in_file('deep_grey.png', lambda: _cv2('.png', _deep(np.asarray(_grey())))),
        'tiff': _in_file('deep_grey.tif', lambda: _tiff(_deep(np.asarray(_grey())), photometric='minisblack')),
        'big-endian': _in_file(
            'deep_mm.tif', lambda: _tiff(_deep(np.asarray(_grey())), photometric='minisblack', byteorder='>')
        ),
    },
    '16 bits with alpha': {
        'png': _in_file('deep_rgba.png', lambda: _cv2('.png', _deep(np.asarray(_rgba())))),
        'grey': _in_file('deep_la.png', lambda: _vips(_deep(np.asarray(_rgba().convert('LA'))), bitdepth=16)),
    },
    'samples of 32 bits or floating point': {
        'float': _in_file('float.tif', lambda: _tiff(photograph().astype(np.float32) / 255, photometric='rgb')),
        'grey float': _in_file(
            'grey_float.tif', lambda: _tiff(photograph()[..., 0].astype(np.float32), photometric='minisblack')
        ),
        'grey 32': _in_file(
            'grey_32.tif', lambda: _tiff(photograph()[..., 0].astype(np.int32), photometric='minisblack')
        ),
    },
    'CMYK': {
        'jpeg': _in_file('cmyk.jpg', lambda: encoded('JPEG', Image.fromarray(photograph()).convert('CMYK'))),
        'tiff': _in_file('cmyk.tif', lambda: encoded('TIFF', Image.fromarray(photograph()).convert('CMYK'))),
    },
    'turned by EXIF': {
        'jpeg': _in_file('turned.jpg', lambda: encoded('JPEG', exif=with_orientation(6))),
        'png': _in_file('turned.png', lambda: encoded('PNG', exif=with_orientation(5))),
        'tiff': _in_file('turned.tif', lambda: encoded('TIFF', exif=with_orientation(8))),
        'webp': _in_file('turned.webp', lambda: encoded('WEBP', exif=with_orientation(6))),
    },
    'broken EXIF, or an orientation that is none': {
        'zero': _in_file('zero.jpg', lambda: encoded('JPEG', exif=with_orientation(0))),
        'ninth': _in_file('ninth.jpg', lambda: encoded('JPEG', exif=with_orientation(9))),
        'noise': _in_file('noise.jpg', lambda: _exif_of(b'no EXIF at all')),
        'cut': _in_file('cut_exif.jpg', lambda: _exif_of(b'II*\0\x08\0\0\0\xff\xff\x12\x01')),
        'text': _in_file('text.jpg', lambda: _exif_of(b'II*\0\x08\0\0\0\1\0\x12\1\2\0\1\0\0\0six\0\0\0\0\0')),
        'png': _in_file('exif.png', lambda: encoded('PNG', exif=b'Exif\0\0no EXIF at all')),
    },
    'broken colour profile': {
        'jpeg': _in_file('profile.jpg', lambda: encoded('JPEG', icc_profile=b'no profile' * 20)),
        'png': _in_file('profile.png', lambda: encoded('PNG', icc_profile=b'no profile' * 20)),
        'tiff': _in_file('profile.tif', lambda: encoded('TIFF', icc_profile=b'no profile' * 20)),
    },
    'colour profile': {
        'jpeg': _in_file(
            'srgb.jpg',
            lambda: encoded('JPEG', icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()),
        ),
    },
    'several pictures: pages, animations': {
        'apng': _in_file('moving.png', lambda: _two('PNG')),
        'webp': _in_file('moving.webp', lambda: _two('WEBP', lossless=True)),
        'tiff': _in_file('pages.tif', lambda: _two('TIFF')),
    },
    'animated GIF under another name': {'gif': _in_file('moving_gif.png', lambda: _two('GIF'))},
    '1x1': {
        'png': _in_file('1x1.png', lambda: encoded('PNG', Image.new('RGB', (1, 1), (9, 99, 199)))),
        'jpeg': _in_file('1x1.jpg', lambda: encoded('JPEG', Image.new('RGB', (1, 1), (9, 99, 199)))),
    },
    '30000x20': {
        'png': _in_file('long.png', lambda: encoded('PNG', Image.fromarray(photograph(30000, 20)))),
        'jpeg': _in_file('long.jpg', lambda: encoded('JPEG', Image.fromarray(photograph(30000, 20)))),
    },
    'truncated': {
        'jpeg': _in_file('cut.jpg', lambda: _cut(encoded('JPEG'))),
        'progressive': _in_file('cut_progressive.jpg', lambda: _cut(encoded('JPEG', progressive=True), 0.9)),
        'png': _in_file('cut.png', lambda: _cut(encoded('PNG'))),
        'interlaced': _in_file('cut_interlaced.png', lambda: _cut(_vips(photograph(), interlace=True))),
        'webp': _in_file('cut.webp', lambda: _cut(encoded('WEBP'))),
        'tiff': _in_file('cut.tif', lambda: _cut(encoded('TIFF'))),
        'packed': _in_file('cut_lzw.tif', lambda: _cut(encoded('TIFF', compression='tiff_lzw'))),
        'bmp': _in_file('cut.bmp', lambda: _cut(encoded('BMP'))),
        'ppm': _in_file('cut.ppm', lambda: _cut(encoded('PPM'))),
        'in its header': _in_file('cut_header.png', lambda: encoded('PNG')[:20]),
    },
    'PNG with a wrong checksum': {'png': _in_file('checksum.png', _wrong_checksum)},
    'zero bytes': {'png': _in_file('empty.png', bytes), 'jpeg': _in_file('empty.jpg', bytes)},
    'no picture inside': {
        'html': _in_file('page.jpg', lambda: b'<!DOCTYPE html><html><title>404 Not Found</title></html>'),
        'zip': _in_file('zip.png', _zip),
        'eps': _in_file('eps.png', lambda: encoded('EPS')),
        'video': _in_file('video.png', lambda: b'\0\0\0\x18ftypmp42' + bytes(200)),
    },
    'header of 60000x60000 with few pixels': {
        'png': _in_file('claims.png', lambda: png(60000, 60000, zlib.compress(bytes(1000)))),
        'bmp': _in_file(
            'claims.bmp', lambda: encoded('BMP')[:18] + struct.pack('<ii', 60000, 60000) + encoded('BMP')[26:]
        ),
    },
    'decompression bomb': {'png': _in_file('bomb.png', lambda: bomb(20000, 10000))},
    'small picture with a bomb in its texts': {'png': _in_file('texts.png', _text_bomb)},
    'named pipe, socket, device': {'pipe': _fifo, 'socket': _socket, 'device': _device},
    'link to a picture': {'link': _linked},
    'link to nothing, or to itself': {'nothing': _broken_link, 'itself': _own_link},
    'folder named x.png': {'folder': _folder_named_png},
    'folder that a link within it leads back to': {'circle': _circle},
    'file without permission to read it': {'locked': _unreadable},
    'name with a line break': {'name': _in_file('two\nlines.png', lambda: encoded('PNG'))},
    'name that is not UTF-8': {
        'name': lambda folder: _in_file(os.fsdecode(b'caf\xe9.png'), lambda: encoded('PNG'))(folder)
    },
}
"""Kind -> its files -> what writes one into an empty folder and gives its path."""
