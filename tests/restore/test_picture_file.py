from __future__ import annotations

import io
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from b2b_basicsr.errors import UserError
from b2b_basicsr.restore import picture_file
from b2b_basicsr.restore.picture_file import as_8_bits, read_picture, write_picture, write_png
from tests.picture_kinds import bomb, png, png_chunk

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" dc:title="t"/></x:xmpmeta>'
MAKE, ORIENTATION, EXIF, GPS, DATE, EXPOSURE, LATITUDE_REF, LATITUDE = 271, 274, 34665, 34853, 36867, 33434, 1, 2


def exif(orientation: int = 6) -> Image.Exif:
    tags = Image.Exif()
    tags[MAKE] = 'Maker'
    tags[ORIENTATION] = orientation
    tags.get_ifd(EXIF)[DATE] = '2020:01:02 03:04:05'
    tags.get_ifd(EXIF)[EXPOSURE] = 0.01
    tags.get_ifd(GPS)[LATITUDE_REF] = 'N'
    tags.get_ifd(GPS)[LATITUDE] = (1.0, 2.0, 3.5)
    return tags


def passed_through(source: Path, out: Path) -> None:
    picture = read_picture(source)
    write_picture(out, picture.with_rgb(picture.rgb()), picture)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.tif', '.webp'])
def test_metadata_profile_and_resolution_are_carried_over(
    suffix: str, tmp_path: Path, noise: NDArray[np.uint16]
) -> None:
    source, out = tmp_path / f'in{suffix}', tmp_path / f'out{suffix}'
    tags = exif()
    of_each: dict[str, dict[str, Any]] = {
        '.jpg': {'exif': tags, 'xmp': XMP},
        '.png': {'exif': tags},
        '.tif': {'tiffinfo': ImageFileDirectory_v2()},
        '.webp': {'exif': tags, 'xmp': XMP, 'lossless': True},
    }
    more = of_each[suffix]
    if suffix == '.tif':  # in which Pillow writes no folders of tags from an Exif
        for tag in (MAKE, ORIENTATION):
            more['tiffinfo'][tag] = tags[tag]
        for folder in (EXIF, GPS):
            more['tiffinfo'][folder] = dict(tags.get_ifd(folder))
        more['tiffinfo'][700] = XMP
    shown = as_8_bits(noise)
    Image.fromarray(shown).save(source, icc_profile=PROFILE, dpi=(300, 300), **more)
    passed_through(source, out)
    with Image.open(out) as result:
        assert result.info['icc_profile'] == PROFILE
        carried = result.getexif()
        assert carried[MAKE] == 'Maker'
        assert carried.get(ORIENTATION, 1) == 1
        assert carried.get_ifd(EXIF)[DATE] == '2020:01:02 03:04:05'
        assert carried.get_ifd(EXIF)[EXPOSURE] == pytest.approx(0.01)
        assert carried.get_ifd(GPS)[LATITUDE] == (1.0, 2.0, 3.5)
        if suffix != '.png':  # Pillow writes none there
            xmp = result.getexif()[700] if suffix == '.tif' else result.info['xmp']
            assert xmp == XMP.replace(b'"6"', b'"1"')
        if suffix != '.webp':  # which has no place for it
            assert result.info['dpi'] == pytest.approx((300, 300), abs=0.01)
        if suffix != '.jpg':
            np.testing.assert_array_equal(np.asarray(result), np.rot90(shown, -1))
        assert result.size == (24, 40)


def test_iptc_of_a_jpeg_and_xmp_of_a_png_are_carried_over(tmp_path: Path) -> None:
    iptc = b'Photoshop 3.0\x008BIM\x04\x04\x00\x00\x00\x00\x00\x07\x1c\x02\x05\x00\x02ab\x00'
    for suffix, name, value in (('.jpg', 'iptc-data', iptc), ('.png', 'xmp-data', XMP)):
        picture = (pyvips.Image.black(8, 8, bands=3) + 128).cast('uchar').copy(interpretation='srgb')
        picture.set_type(pyvips.GValue.blob_type, name, value)
        picture.write_to_file(str(tmp_path / f'in{suffix}'))
        passed_through(tmp_path / f'in{suffix}', tmp_path / f'out{suffix}')
        result = pyvips.Image.new_from_file(str(tmp_path / f'out{suffix}'))
        assert result.get(name) == value.replace(b'"6"', b'"1"')


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('suffix', ['.png', '.tif'])
def test_each_orientation_is_applied_once(
    orientation: int, suffix: str, tmp_path: Path, noise: NDArray[np.uint16]
) -> None:
    source, out = tmp_path / f'in{suffix}', tmp_path / f'out{suffix}'
    Image.fromarray(as_8_bits(noise)).save(source, exif=exif(orientation))
    passed_through(source, out)
    with Image.open(source) as before, Image.open(out) as after:
        expected = np.asarray(ImageOps.exif_transpose(before))
        np.testing.assert_array_equal(np.asarray(after), expected)
        np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(after)), expected)


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('channels', [1, 2, 3, 4])
@pytest.mark.parametrize('depth', [8, 16])
def test_grey_alpha_and_every_level_are_kept(suffix: str, channels: int, depth: int, tmp_path: Path) -> None:
    levels = np.random.default_rng(1).integers(0, 2**depth, (24, 40, channels), dtype=f'uint{depth}')
    source, out = tmp_path / f'in{suffix}', tmp_path / f'out{suffix}'
    if suffix == '.tif':
        tifffile.imwrite(
            source,
            levels if channels > 1 else levels[..., 0],
            photometric='rgb' if channels > 2 else 'minisblack',
            planarconfig='contig' if channels > 1 else None,
            extrasamples=['unassalpha'] if channels % 2 == 0 else None,
        )
    else:
        kinds = {1: ('b-w', 'grey16'), 2: ('b-w', 'grey16'), 3: ('srgb', 'rgb16'), 4: ('srgb', 'rgb16')}
        pyvips.Image.new_from_array(levels, interpretation=kinds[channels][depth == 16]).write_to_file(str(source))
    picture = read_picture(source)
    assert picture.rgb().dtype == levels.dtype
    assert picture.rgb().shape == (24, 40, 3)
    write_picture(out, picture.with_rgb(picture.rgb()), picture)
    again = read_picture(out)
    assert again.samples.dtype == levels.dtype
    np.testing.assert_array_equal(again.samples, levels)
    if suffix == '.tif':
        np.testing.assert_array_equal(tifffile.imread(out).reshape(levels.shape), levels)


def test_alpha_is_untouched_and_grey_is_the_luma_of_what_came_back(tmp_path: Path) -> None:
    levels = np.random.default_rng(2).integers(0, 256, (24, 40, 2), dtype=np.uint8)
    Image.fromarray(levels, 'LA').save(tmp_path / 'in.png')
    picture = read_picture(tmp_path / 'in.png')
    changed = picture.rgb().copy()
    changed[..., 1] = 255 - changed[..., 1]
    result = picture.with_rgb(changed)
    np.testing.assert_array_equal(result[..., 1], levels[..., 1])
    expected = changed @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(result[..., 0], expected, atol=0.51)


def test_a_jpeg_keeps_its_colour_resolution_and_obeys_quality(tmp_path: Path) -> None:
    red_and_blue = np.zeros((64, 64, 3), np.uint8)
    red_and_blue[:, ::2, 0] = 255
    red_and_blue[:, 1::2, 2] = 255
    Image.fromarray(red_and_blue).save(tmp_path / 'in.jpg', subsampling=0, quality=100)
    picture = read_picture(tmp_path / 'in.jpg')
    write_picture(tmp_path / 'out.jpg', picture.samples, picture)
    write_picture(tmp_path / 'low.jpg', picture.samples, picture, quality=40)
    np.testing.assert_allclose(read_picture(tmp_path / 'out.jpg').samples, red_and_blue, atol=24)
    assert (tmp_path / 'low.jpg').stat().st_size < (tmp_path / 'out.jpg').stat().st_size


def test_the_blurry_thumbnail_goes(tmp_path: Path) -> None:
    thumbnail = io.BytesIO()
    Image.new('RGB', (16, 16), 'red').save(thumbnail, 'jpeg')
    picture = thumbnail.getvalue()
    first = struct.pack('<HHHII', 1, ORIENTATION, 3, 1, 6)
    second = struct.pack('<HHHIIHHIIHHIII', 3, 0x103, 3, 1, 6, 0x201, 4, 1, 68, 0x202, 4, 1, len(picture), 0)
    tags = b'Exif\0\0II*\0' + struct.pack('<I', 8) + first + struct.pack('<I', 26) + second + picture
    Image.new('RGB', (40, 24), 'blue').save(tmp_path / 'in.jpg', exif=tags)
    passed_through(tmp_path / 'in.jpg', tmp_path / 'out.jpg')
    assert picture[:64] in (tmp_path / 'in.jpg').read_bytes()
    assert picture[:64] not in (tmp_path / 'out.jpg').read_bytes()


def test_webp_stays_lossless_or_lossy(tmp_path: Path, noise: NDArray[np.uint16]) -> None:
    for lossless in (True, False):
        Image.fromarray(as_8_bits(noise)).save(tmp_path / 'in.webp', lossless=lossless)
        picture = read_picture(tmp_path / 'in.webp')
        assert picture.lossless == lossless
        write_picture(tmp_path / 'out.webp', picture.samples, picture)
        assert read_picture(tmp_path / 'out.webp').lossless == lossless


def test_the_content_decides_the_format_not_the_name(tmp_path: Path, noise: NDArray[np.uint16]) -> None:
    Image.fromarray(as_8_bits(noise)).save(tmp_path / 'in.jpg', format='png')
    passed_through(tmp_path / 'in.jpg', tmp_path / 'out.jpg')
    with Image.open(tmp_path / 'out.jpg') as result:
        assert result.format == 'PNG'


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.tif', '.webp'])
def test_truncated_files_are_refused(suffix: str, tmp_path: Path, noise: NDArray[np.uint16]) -> None:
    Image.fromarray(as_8_bits(noise)).save(tmp_path / f'in{suffix}')
    content = (tmp_path / f'in{suffix}').read_bytes()
    for share in (0.6, 0.95):
        (tmp_path / f'cut{suffix}').write_bytes(content[: int(len(content) * share)])
        with pytest.raises(UserError, match='cannot be read as a picture'):
            read_picture(tmp_path / f'cut{suffix}')


def test_what_cannot_be_kept_is_refused_by_name(tmp_path: Path) -> None:
    Image.new('CMYK', (8, 8)).save(tmp_path / 'cmyk.jpg')
    for name in ('pages.tif', 'moving.png'):
        Image.new('RGB', (8, 8)).save(tmp_path / name, save_all=True, append_images=[Image.new('RGB', (8, 8), 'red')])
    tifffile.imwrite(tmp_path / 'float.tif', np.zeros((8, 8, 3), np.float32), photometric='rgb')
    (tmp_path / 'text.png').write_text('no picture')
    (tmp_path / 'empty.jpg').touch()
    for name, told in (
        ('cmyk.jpg', 'CMYK'),
        ('pages.tif', 'holds 2 pictures'),
        ('moving.png', 'holds 2 pictures'),
        ('float.tif', '3 channels of float'),
        ('text.png', 'no JPEG, PNG, TIFF or WebP'),
        ('empty.jpg', 'no JPEG, PNG, TIFF or WebP'),
    ):
        with pytest.raises(UserError, match=told):
            read_picture(tmp_path / name)


def test_palettes_and_bilevel_pictures_become_full_ones(tmp_path: Path) -> None:
    Image.new('RGB', (8, 8), (10, 200, 30)).convert('P').save(tmp_path / 'palette.png')
    Image.new('1', (8, 8), 1).save(tmp_path / 'bilevel.tif')
    assert read_picture(tmp_path / 'palette.png').samples.shape == (8, 8, 3)
    picture = read_picture(tmp_path / 'bilevel.tif')
    assert picture.samples.shape == (8, 8, 1)
    assert (picture.samples == 255).all()
    write_picture(tmp_path / 'out.tif', picture.samples, picture)
    with Image.open(tmp_path / 'out.tif') as result:
        assert (result.mode, result.getpixel((0, 0))) == ('L', 255)


def test_a_failed_write_leaves_nothing_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise pyvips.Error('cannot save', 'no room')

    monkeypatch.setattr(pyvips.Image, 'pngsave', fail, raising=False)
    with pytest.raises(UserError, match='cannot be written'):
        write_png(tmp_path / 'out.png', np.zeros((4, 4, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_a_reason_is_not_what_libvips_said_to_another_thread(tmp_path: Path) -> None:
    path = tmp_path / 'in.jpg'
    Image.new('RGB', (64, 64)).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    pyvips.vips_lib.vips_foreign_find_load(b'theirs')  # leaves its reason where libvips keeps all
    with pytest.raises(UserError, match='cannot be read as a picture') as failure:
        read_picture(path)
    assert 'theirs' not in str(failure.value)


def test_what_failed_is_done_again_when_no_other_thread_is_at_work() -> None:
    done: list[str] = []
    begun, failed = threading.Event(), threading.Event()

    def works() -> None:
        begun.set()
        assert failed.wait(10)
        done.append('the other')

    def fails() -> None:
        if not failed.is_set():
            threading.Timer(0.1, failed.set).start()
            raise pyvips.Error('', 'which may be of the other')
        done.append('again')
        raise pyvips.Error('', 'its own')

    other = threading.Thread(target=picture_file._by_libvips, args=(works,))
    other.start()
    assert begun.wait(10)
    with pytest.raises(pyvips.Error, match='its own'):
        picture_file._by_libvips(fails)
    other.join()
    assert done == ['the other', 'again']


def test_16_bits_become_the_nearest_8() -> None:
    every = np.arange(65536, dtype=np.uint16)
    np.testing.assert_array_equal(as_8_bits(every), np.rint(every / 257).astype(np.uint8))


def test_a_text_that_unpacks_to_a_gigabyte_is_left_packed(tmp_path: Path) -> None:
    packer = zlib.compressobj(9)
    packed = b''.join(packer.compress(bytes(1 << 20)) for _ in range(1 << 6)) + packer.flush()
    source, out = tmp_path / 'in.png', tmp_path / 'out.png'
    text = png_chunk(b'zTXt', b'XML:com.adobe.xmp\0\0' + packed)
    source.write_bytes(png(8, 8, zlib.compress(bytes((1 + 3 * 8) * 8)), before=text))
    passed_through(source, out)
    assert text in out.read_bytes()


def test_a_picture_too_large_is_refused_by_its_header(tmp_path: Path) -> None:
    (tmp_path / 'in.png').write_bytes(bomb(20000, 10000))
    with pytest.raises(UserError, match=r'20000x10000 pixels, more than 178956970: .*B2B_MAX_PIXELS=200000000'):
        read_picture(tmp_path / 'in.png')
