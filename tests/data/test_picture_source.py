from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from b2b_basicsr.data.picture_source import PictureSource, matched_pairs, picture_size
from b2b_basicsr.data.plain_png import PlainPng
from b2b_basicsr.data.random_crop import RandomCrop, resized
from b2b_basicsr.errors import UserError

MakePictures = Callable[..., Path]
DISK = {'type': 'disk'}


def _lmdb(tmp_path: Path, pictures: dict[str, Path]) -> Path:
    from basicsr.utils.lmdb_util import make_lmdb_from_imgs

    root = tmp_path / 'set.lmdb'
    keys = list(pictures)
    make_lmdb_from_imgs(str(tmp_path), str(root), [str(pictures[k].relative_to(tmp_path)) for k in keys], keys)
    return root


def test_any_depth_sorted_without_hidden_or_foreign_files(make_pictures: MakePictures) -> None:
    root = make_pictures('set', ['b/1.png', 'a/c/2.jpg', '0.PNG', '.hidden.png', '.cache/3.png'])
    (root / 'notes.txt').write_text('no picture')
    assert PictureSource('key', str(root), DISK).names == ['0.PNG', 'a/c/2.jpg', 'b/1.png']


def test_lmdb_gives_what_the_files_hold(make_pictures: MakePictures, tmp_path: Path) -> None:
    root = make_pictures('set', ['a/0.png', 'b/0.png'])
    source = PictureSource(
        'key', str(_lmdb(tmp_path, {'a/0': root / 'a/0.png', 'b/0': root / 'b/0.png'})), {'type': 'lmdb'}
    )
    assert source.names == ['a/0', 'b/0']
    assert np.array_equal(np.asarray(source.read(1)), np.asarray(Image.open(root / 'b/0.png')))
    assert source.size(0) == (48, 40)


def test_exif_orientation_is_applied_to_size_and_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (30, 20)).save(tmp_path / 'turned.jpg', exif=exif)
    source = PictureSource('key', str(tmp_path), DISK)
    assert source.size(0) == (20, 30)
    assert source.read(0).size == (20, 30)


@pytest.mark.parametrize('content', [b'', b'not a picture', 'truncated'])
def test_unreadable_picture_is_named(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / 'broken.png'
    if content == 'truncated':
        levels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(levels).save(path)
        path.write_bytes(path.read_bytes()[:5000])
    else:
        path.write_bytes(content)  # type: ignore[arg-type]
    source = PictureSource('datasets:train:dataroot_blur', str(tmp_path), DISK)
    with pytest.raises(UserError, match=r'dataroot_blur: .*broken\.png cannot be read'):
        source.read(0)


def _turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _photograph() -> Image.Image:
    small = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((150, 100), Image.Resampling.BICUBIC)


_FILES: dict[str, Callable[[Path], object]] = {
    'plain.png': lambda path: _photograph().save(path),
    'plain.jpg': lambda path: _photograph().save(path, quality=90),
    'progressive.jpg': lambda path: _photograph().save(path, quality=90, progressive=True),
    'turned.jpg': lambda path: _photograph().save(path, exif=_turned(6)),
    'mirrored.png': lambda path: _photograph().save(path, exif=_turned(5)),
    'cmyk.jpg': lambda path: _photograph().convert('CMYK').save(path),
    'grey.jpg': lambda path: _photograph().convert('L').save(path),
    'rgba.png': lambda path: _photograph().convert('RGBA').save(path),
    'palette.png': lambda path: _photograph().quantize(64).save(path),
    'deep.png': lambda path: cv2.imwrite(str(path), np.asarray(_photograph()).astype(np.uint16) * 257),
    'animated.png': lambda path: _photograph().save(path, save_all=True, append_images=[Image.new('RGB', (150, 100))]),
    'animated.webp': lambda path: _photograph().save(path, save_all=True, append_images=[_photograph().rotate(9)]),
    'uncompressed.ppm': lambda path: _photograph().save(path),
    'uncompressed.bmp': lambda path: _photograph().save(path),
}


@pytest.mark.parametrize('name', _FILES)
def test_crops_are_those_of_the_whole_picture_resized_by_pillow(tmp_path: Path, name: str) -> None:
    _FILES[name](tmp_path / name)
    with Image.open(tmp_path / name) as file:
        whole = ImageOps.exif_transpose(file).convert('RGB')
    source = PictureSource('key', str(tmp_path), DISK)
    opened = source.open(0)
    assert isinstance(opened, PlainPng) == (name == 'plain.png')
    assert opened.size == source.size(0) == picture_size('key', source.path(0)) == whole.size
    assert np.array_equal(np.asarray(source.read(0)), np.asarray(whole))
    for seed in range(4):
        crop = RandomCrop.draw(resized(whole.size, 71), 48, np.random.default_rng(seed))
        wanted = np.asarray(whole.resize(crop.size, Image.Resampling.BICUBIC)).astype(float)
        wanted = wanted[crop.top : crop.top + 48, crop.left : crop.left + 48]
        got = crop.cut(source.open(0))
        # More than 45 dB, and the same bits as of the whole picture decoded by Pillow.
        assert np.mean((got - wanted) ** 2) < 255**2 / 10**4.5
        assert np.array_equal(got, crop.cut(whole))
        native = RandomCrop.draw(whole.size, 48, np.random.default_rng(seed))
        assert np.array_equal(native.cut(source.open(0), margin=9), native.cut(whole, margin=9))


@pytest.mark.parametrize('name', ['plain.png', 'plain.jpg'])
def test_truncated_picture_gives_no_crop(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    _FILES[name](path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UserError, match=rf'key: .*{name} cannot be read'):
        RandomCrop((150, 100), 8, 0, 0).cut(PictureSource('key', str(tmp_path), DISK).open(0))


def test_damaged_png_is_named_by_the_cutting(tmp_path: Path) -> None:
    path = tmp_path / 'plain.png'
    _FILES['plain.png'](path)
    content = bytearray(path.read_bytes())
    place = content.index(b'IDAT') + 50
    content[place : place + 400] = b'\xff' * 400
    path.write_bytes(content)
    opened = PictureSource('key', str(tmp_path), DISK).open(0)
    with pytest.raises(UserError, match=r'key: .*plain\.png cannot be read'):
        RandomCrop((150, 100), 48, 0, 50).cut(opened)


def test_size_of_a_png_is_told_without_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _FILES['plain.png'](tmp_path / 'plain.png')
    monkeypatch.delattr(Image, 'open')
    assert PictureSource('key', str(tmp_path), DISK).size(0) == (150, 100)


def test_png_too_large_for_pillow_is_refused(make_pictures: MakePictures, monkeypatch: pytest.MonkeyPatch) -> None:
    source = PictureSource('key', str(make_pictures('set', ['0.png'])), DISK)
    assert isinstance(source.open(0), PlainPng)
    size = source.size(0)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    # The size, too: it is all that is asked of most pictures before a training.
    for ask in (source.open, source.read, source.size, lambda index: picture_size('key', source.path(index))):
        with pytest.raises(UserError, match=r'0\.png cannot be read .*decompression bomb'):
            ask(0)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', size[0] * size[1] - 1)
    with pytest.warns(Image.DecompressionBombWarning):
        assert source.size(0) == size
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', None)
    assert isinstance(source.open(0), PlainPng)
    assert source.size(0) == size


def test_grey_of_16_bits_is_not_clipped_but_loses_the_lower_8(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 65536, (8, 9), dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / 'deep.png')
    Image.fromarray(levels).save(tmp_path / 'deep.tif')
    source = PictureSource('key', str(tmp_path), DISK)
    for place in range(2):
        for picture in (source.read(place), source.open(place).crop((0, 0, 9, 8))):
            assert np.array_equal(np.asarray(picture), np.repeat((levels >> 8)[..., None], 3, axis=2))


def test_grey_whose_range_cannot_be_told_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 40000, np.int32)).save(tmp_path / 'deep.tif')
    with pytest.raises(UserError, match='range cannot be told'):
        PictureSource('key', str(tmp_path), DISK).read(0)
    # White is 0 there, which Pillow passes over.
    tifffile.imwrite(tmp_path / 'deep.tif', np.full((8, 8), 40000, np.uint16), photometric='miniswhite')
    with pytest.raises(UserError, match='range cannot be told'):
        PictureSource('key', str(tmp_path), DISK).read(0)


def test_missing_empty_and_wrong_backend(make_pictures: MakePictures, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='key: no folder'):
        PictureSource('key', str(tmp_path / 'nowhere'), DISK)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match='key: no picture'):
        PictureSource('key', str(tmp_path / 'empty'), DISK)
    root = make_pictures('set', ['0.png'])
    with pytest.raises(UserError, match=r'no LMDB of BasicSR'):
        PictureSource('key', str(root), {'type': 'lmdb'})
    with pytest.raises(UserError, match='use disk or lmdb'):
        PictureSource('key', str(root), {'type': 'memcached'})


@pytest.mark.parametrize('place', ['~nosuchuser/x', 'x' * 300])
def test_a_path_that_cannot_be_looked_at_is_told(place: str) -> None:
    with pytest.raises(UserError, match=r"key: '.*x' cannot be looked at .*; give another path"):
        PictureSource('key', place, {'type': 'disk'})


def test_pairs_match_by_relative_path_without_extension(make_pictures: MakePictures) -> None:
    first = PictureSource('blur', str(make_pictures('blur', ['a/0.png', 'b/0.png'])), DISK)
    second = PictureSource('sharp', str(make_pictures('sharp', ['b/0.jpg', 'a/0.jpg'])), DISK)
    named = [(first.names[i], second.names[j]) for i, j in matched_pairs(first, second)]
    assert named == [('a/0.png', 'a/0.jpg'), ('b/0.png', 'b/0.jpg')]


def test_pairs_that_do_not_match_are_named(make_pictures: MakePictures) -> None:
    first = PictureSource('blur', str(make_pictures('blur', ['0.png', '1.png'])), DISK)
    second = PictureSource('sharp', str(make_pictures('sharp', ['0.png', '1.png', '2.png'])), DISK)
    with pytest.raises(UserError, match=r'sharp: 1 of 3 pictures have no twin .* in blur, the first is 2\.png'):
        matched_pairs(first, second)
    twins = PictureSource('twins', str(make_pictures('twins', ['0.png', '0.jpg'])), DISK)
    with pytest.raises(UserError, match='differ in their extension alone'):
        matched_pairs(twins, first)


def test_a_database_that_is_cut_off_does_not_end_the_process(make_pictures: MakePictures, tmp_path: Path) -> None:
    root = make_pictures('set', [f'{place}.png' for place in range(9)], size=(200, 200))
    packed = _lmdb(tmp_path, {str(place): root / f'{place}.png' for place in range(9)})
    data = packed / 'data.mdb'
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    source = PictureSource('key', str(packed), {'type': 'lmdb'})
    for _ in range(2):
        with pytest.raises(UserError, match=r'set\.lmdb is cut off'):
            source.read(8)
    (packed / 'meta_info.txt').write_bytes(b'\xff\xfe\0')
    with pytest.raises(UserError, match=r'key: .*meta_info\.txt cannot be read'):
        PictureSource('key', str(packed), {'type': 'lmdb'})


def test_links_that_lead_round_in_circles_are_followed_once(make_pictures: MakePictures, tmp_path: Path) -> None:
    root = make_pictures('set', ['a/0.png'])
    make_pictures('elsewhere', ['1.png'])
    (root / 'a' / 'back').symlink_to('..')
    (root / 'there').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'elsewhere' / 'home').symlink_to(root)
    assert PictureSource('key', str(root), DISK).names == ['a/0.png', 'there/1.png']


def test_resizing_a_narrow_picture_does_not_fill_the_memory(tmp_path: Path) -> None:
    Image.new('RGB', (30000, 20)).save(tmp_path / 'long.png')
    source = PictureSource('key', str(tmp_path), DISK)
    assert source.read_resized(0, None).size == (30000, 20)
    assert source.read_resized(0, 10).size == (15000, 10)
    with pytest.raises(UserError, match=r'long\.png measures 30000x20, resized 768000x512 pixels, more than'):
        source.read_resized(0, 512)


def test_folders_that_link_to_each_other_are_read_once_each(make_pictures: MakePictures, tmp_path: Path) -> None:
    names = 'abcdefgh'
    root = make_pictures('set', [f'{name}/0.png' for name in names], size=(4, 4))
    for one in names:
        for other in names:
            (root / one / f'{other}_too').symlink_to(root / other)
    (root / 'A_link_first').symlink_to(root / 'b')
    (root / 'up').symlink_to('..')
    start = time.perf_counter()
    assert PictureSource('key', str(root), DISK).names == [f'{name}/0.png' for name in names]
    assert time.perf_counter() - start < 2  # by every way it would be more than 10^5 folders


def test_folder_outside_goes_by_its_first_link(make_pictures: MakePictures, tmp_path: Path) -> None:
    root = make_pictures('set', ['a/0.png'])
    elsewhere = make_pictures('elsewhere', ['1.png'])
    for link in ('z', 'b', 'a/c'):
        (root / link).symlink_to(elsewhere)
    assert PictureSource('key', str(root), DISK).names == ['a/0.png', 'b/1.png']


def test_broken_pictures_are_named_in_one_printable_line(tmp_path: Path) -> None:
    (tmp_path / 'two\nlines\x1b[31m.png').write_bytes(b'')
    (tmp_path / 'old\udcfc.png').write_bytes(b'')
    source = PictureSource('key', str(tmp_path), DISK)
    for place, shown in ((0, r'old\udcfc.png'), (1, r'two\nlines\x1b[31m.png')):
        for look in (source.read, source.size, source.open):
            with pytest.raises(UserError) as said:
                look(place)
            assert str(said.value).startswith(f'key: {tmp_path}/{shown} cannot be read as a picture (empty')
