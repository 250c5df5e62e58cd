from __future__ import annotations

import io
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import pyvips
from PIL import Image, PngImagePlugin

from b2b_basicsr.data.plain_png import PlainPng, plain_png_size

LEVELS = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)


def _png(picture: Image.Image | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    (picture or Image.fromarray(LEVELS)).save(file, 'PNG', **options)
    return file.getvalue()


def _interlaced() -> bytes:
    return bytes(pyvips.Image.new_from_array(LEVELS).pngsave_buffer(interlace=True))


def _deep() -> bytes:
    return bytes(cv2.imencode('.png', LEVELS.astype(np.uint16) * 257)[1])


def _text(key: str) -> PngImagePlugin.PngInfo:
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt(key, 'x' * 200)
    return texts


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _not_called() -> Image.Image:
    raise AssertionError('Pillow was asked')


@pytest.mark.parametrize(
    'content',
    [_png(), _png(compress_level=0), _png(pnginfo=_text('Software')), _png(dpi=(72, 72), icc_profile=b'x' * 99)],
)
def test_plain_pngs_are_known(content: bytes) -> None:
    assert plain_png_size(io.BytesIO(content)) == (120, 90)


@pytest.mark.parametrize(
    'make',
    [
        lambda: _png(Image.fromarray(LEVELS).convert('RGBA')),
        lambda: _png(Image.fromarray(LEVELS).convert('L')),
        lambda: _png(Image.fromarray(LEVELS).convert('P')),
        lambda: _png(transparency=(1, 2, 3)),
        lambda: _png(exif=_turned()),
        lambda: _png(pnginfo=_text('XML:com.adobe.xmp')),
        lambda: _png(pnginfo=_text('Raw profile type exif')),
        lambda: _png(save_all=True, append_images=[Image.new('RGB', (120, 90))]),
        _interlaced,
        _deep,
        lambda: _png()[:-12],
        lambda: _png()[:20],
        lambda: b'',
        lambda: _png().replace(b'\x89PNG', b'\x89MNG'),
    ],
    ids=[
        *('rgba', 'grey', 'palette', 'transparent', 'exif', 'xmp', 'raw_exif', 'animated', 'interlaced', 'deep'),
        *('no_end', 'cut', 'empty', 'foreign'),
    ],
)
def test_all_others_are_left_to_pillow(make: Callable[[], bytes]) -> None:
    assert plain_png_size(io.BytesIO(make())) is None


def test_header_alone_is_looked_at() -> None:
    content = _png()
    place = content.index(b'IDAT') + 200
    damaged = content[:place] + b'\0' * 500 + content[place + 500 :]
    assert plain_png_size(io.BytesIO(damaged)) == (120, 90)


@pytest.mark.parametrize('box', [(0, 0, 120, 90), (0, 0, 1, 1), (30, 20, 77, 61), (119, 89, 120, 90)])
def test_crop_is_pillows(box: tuple[int, int, int, int]) -> None:
    part = PlainPng(_png(), (120, 90), _not_called).crop(box)
    assert np.array_equal(np.asarray(part), LEVELS[box[1] : box[3], box[0] : box[2]])


@pytest.mark.parametrize('seed', range(8))
def test_resize_is_pillows_to_the_bit(seed: int) -> None:
    generator = np.random.default_rng(seed)
    left, top = generator.uniform(0, (80, 60))
    right, bottom = generator.uniform((left + 10, top + 10), (120, 90))
    box = (float(left), float(top), float(right), float(bottom))
    size = int(generator.integers(3, 100)), int(generator.integers(3, 100))
    part = PlainPng(_png(), (120, 90), _not_called).resize(size, Image.Resampling.BICUBIC, box)
    expected = Image.fromarray(LEVELS).resize(size, Image.Resampling.BICUBIC, box=box)
    assert np.array_equal(np.asarray(part), np.asarray(expected))


def test_what_libvips_finds_fault_with_pillow_decides() -> None:
    content = _png()
    start = content.index(b'IDAT') + 4
    length = int.from_bytes(content[start - 8 : start - 4], 'big')
    damaged = content[:start] + zlib.compress(b'\7' * 500)[:length].ljust(length, b'\0') + content[start + length :]
    asked = []

    def whole() -> Image.Image:
        asked.append(True)
        return Image.fromarray(LEVELS)

    picture = PlainPng(damaged, (120, 90), whole)
    assert np.array_equal(np.asarray(picture.crop((0, 0, 9, 9))), LEVELS[:9, :9])
    box = (0.0, 0.0, 60.0, 60.0)
    expected = Image.fromarray(LEVELS).resize((30, 30), Image.Resampling.BICUBIC, box=box)
    resampled = picture.resize((30, 30), Image.Resampling.BICUBIC, box)
    assert np.array_equal(np.asarray(resampled), np.asarray(expected))
    assert len(asked) == 2


def test_no_file_stays_in_libvips_memory() -> None:
    for _ in range(3):
        PlainPng(bytes(bytearray(_png())), (120, 90), _not_called).crop((0, 0, 9, 9))
    assert pyvips.cache_get_size() == 0


def test_a_header_of_claimed_gigabytes_is_no_plain_png() -> None:
    content = _png()
    assert plain_png_size(io.BytesIO(content[:8] + b'\xff\xff\xff\xff' + content[12:])) is None
