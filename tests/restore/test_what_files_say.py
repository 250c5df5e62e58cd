"""What picture files say about themselves, against what other readers find in the written ones."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from b2b_basicsr.restore.orientation_tags import upright_exif
from b2b_basicsr.restore.picture_file import read_picture, write_picture

COLOURS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
ORIENTATION, WIDTH, HEIGHT, EXIF, OWNER = 274, 0xA002, 0xA003, 34665, 0xA430


def passed_through(source: Path) -> Path:
    picture = read_picture(source)
    out = source.with_name(f'out{source.suffix}')
    write_picture(out, picture.with_rgb(picture.rgb()), picture)
    return out


def chunks_of(path: Path) -> list[tuple[bytes, bytes]]:
    content, place, found = path.read_bytes(), 8, []
    while place < len(content):
        length, name = struct.unpack_from('>I4s', content, place)
        payload = content[place + 8 : place + 8 + length]
        assert zlib.crc32(name + payload) == struct.unpack_from('>I', content, place + 8 + length)[0]
        found.append((name, payload))
        place += 12 + length
    return [(name, payload) for name, payload in found if name not in (b'IHDR', b'IDAT', b'IEND')]


@pytest.mark.parametrize('depth', [8, 16])
@pytest.mark.parametrize('channels', [2, 4])
def test_colours_multiplied_by_alpha_come_out_so(depth: int, channels: int, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    alpha = random.integers(0, 2**depth, (24, 40, 1))
    multiplied = np.floor(random.random((24, 40, channels - 1)) * (alpha + 1))
    samples = np.concatenate((multiplied, alpha), axis=2).astype(f'uint{depth}')
    tifffile.imwrite(
        tmp_path / 'in.tif',
        samples,
        photometric='rgb' if channels == 4 else 'minisblack',
        planarconfig='contig',
        extrasamples=['assocalpha'],
    )
    with tifffile.TiffFile(passed_through(tmp_path / 'in.tif')) as tiff:
        assert tiff.pages[0].tags.valueof(338) in (1, (1,))
        difference = tiff.asarray().astype(np.int64) - samples
    assert np.abs(difference).max() <= (depth == 16)  # libvips divides in single precision
    assert (difference[..., -1] == 0).all()


@pytest.mark.parametrize('coding', ['utf-8', 'latin-1'])
@pytest.mark.parametrize('big', [False, True])
def test_texts_of_a_tiff_stay_in_their_coding(coding: str, big: bool, tmp_path: Path) -> None:
    text = 'Descé'.encode(coding)
    tifffile.imwrite(
        tmp_path / 'in.tif',
        COLOURS,
        photometric='rgb',
        bigtiff=big,
        byteorder='>',
        metadata=None,
        extratags=[(270, 's', 0, text, True), (315, 's', 0, text, True)],
    )
    out = passed_through(tmp_path / 'in.tif')
    assert out.read_bytes().count(text + b'\0') == 2
    np.testing.assert_array_equal(tifffile.imread(out), COLOURS)


def test_texts_in_the_exif_of_a_tiff_stay_in_their_coding(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / 'in.tif', tiffinfo={EXIF: {OWNER: 'José'.encode()}})
    assert 'José'.encode() in (tmp_path / 'in.tif').read_bytes()
    assert 'José'.encode() + b'\0' in passed_through(tmp_path / 'in.tif').read_bytes()


def test_texts_and_meaning_of_colours_of_a_png_stay_byte_for_byte(tmp_path: Path) -> None:
    said = PngImagePlugin.PngInfo()
    said.add(b'cHRM', struct.pack('>8I', *range(30000, 30008)))
    said.add(b'pHYs', struct.pack('>IIB', 3000, 2000, 1))
    said.add(b'tIME', struct.pack('>H5B', 2020, 1, 2, 3, 4, 5))
    said.add_text('Title', 'Tést')
    said.add_itxt('Description', 'Descé 日', lang='fr', tkey='Déscription')
    said.add_itxt('Long', 'é' * 2000, zip=True)
    said.add_text('Comment', 'z' * 2000, zip=True)
    Image.fromarray(COLOURS).save(tmp_path / 'in.png', pnginfo=said)
    content = (tmp_path / 'in.png').read_bytes()
    for name, payload in ((b'gAMA', struct.pack('>I', 45455)), (b'sRGB', b'\0')):
        chunk = struct.pack('>I', len(payload)) + name + payload + struct.pack('>I', zlib.crc32(name + payload))
        content = content[:33] + chunk + content[33:]
    (tmp_path / 'in.png').write_bytes(content)
    before = chunks_of(tmp_path / 'in.png')
    assert len(before) == 8
    assert chunks_of(passed_through(tmp_path / 'in.png')) == before


@pytest.mark.parametrize('compressed', [False, True])
def test_xmp_of_a_png_says_upright(compressed: bool, tmp_path: Path) -> None:
    said = PngImagePlugin.PngInfo()
    said.add_itxt('XML:com.adobe.xmp', '<rdf tiff:Orientation="6" dc:title="é"/>', zip=compressed)
    Image.fromarray(COLOURS).save(tmp_path / 'in.png', pnginfo=said)
    with Image.open(passed_through(tmp_path / 'in.png')) as result:
        result.load()
        assert result.info['XML:com.adobe.xmp'] == '<rdf tiff:Orientation="1" dc:title="é"/>'


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp'])
def test_nothing_is_said_that_was_not_said_before(suffix: str, tmp_path: Path) -> None:
    for picture in (COLOURS, COLOURS[..., 0]):
        Image.fromarray(picture).save(tmp_path / f'in{suffix}')
        out = passed_through(tmp_path / f'in{suffix}')
        with Image.open(tmp_path / f'in{suffix}') as before, Image.open(out) as after:
            assert not after.getexif()
            assert 'dpi' not in after.info
            assert before.info.keys() >= {key for key in after.info if key != 'jfif_version'}
        assert b'Exif' not in out.read_bytes()
        assert b'EXIF' not in out.read_bytes()


def test_comments_resolution_and_segments_of_a_jpeg_stay(tmp_path: Path) -> None:
    cases: tuple[dict[str, Any], ...] = ({'dpi': (300, 200)}, {})
    for more in cases:
        Image.fromarray(COLOURS).save(tmp_path / 'in.jpg', comment='Caché', **more)
        with Image.open(passed_through(tmp_path / 'in.jpg')) as result:
            assert result.info['comment'] == 'Caché'.encode()
            assert result.info.get('dpi') == more.get('dpi')
            assert (result.info['jfif_unit'], result.info['jfif_density']) == ((1, (300, 200)) if more else (0, (1, 1)))


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp'])
def test_exif_of_a_turned_picture_has_its_new_size_and_is_else_untouched(suffix: str, tmp_path: Path) -> None:
    tags = Image.Exif()
    tags[ORIENTATION] = 6
    tags.get_ifd(EXIF).update({WIDTH: 40, HEIGHT: 24, 0x927C: b'maker note'})
    more: dict[str, Any] = {'dpi': (300, 200)} if suffix != '.webp' else {'lossless': True}
    Image.fromarray(COLOURS).save(tmp_path / f'in{suffix}', exif=tags, **more)
    with Image.open(passed_through(tmp_path / f'in{suffix}')) as result:
        assert result.size == (24, 40)
        carried = result.getexif()
        inner = carried.get_ifd(EXIF)
        assert (carried[ORIENTATION], inner[WIDTH], inner[HEIGHT], inner[0x927C]) == (1, 24, 40, b'maker note')
        assert set(carried) == {ORIENTATION, EXIF}
        if suffix == '.webp':
            assert not result.info['exif'].startswith(b'Exif')
        else:
            assert result.info['dpi'] == pytest.approx((200, 300), abs=0.01)


@pytest.mark.parametrize('order', ['<', '>'])
def test_broken_exif_stays_as_it_is(order: str) -> None:
    whole = {'<': b'II*\0', '>': b'MM\0*'}[order] + struct.pack(f'{order}IH', 8, 3)
    assert upright_exif(whole, turned=True) == whole
    assert upright_exif(b'no exif', turned=True) == b'no exif'
