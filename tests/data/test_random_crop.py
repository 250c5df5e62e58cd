from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from b2b_basicsr.data.random_crop import RandomCrop, resized


def _picture(width: int, height: int) -> Image.Image:
    levels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(levels)


@pytest.mark.parametrize(
    ('size', 'shorter', 'scale', 'expected'),
    [
        ((1280, 720), 512, 1.0, (910, 512)),
        ((720, 1280), 512, 1.0, (512, 910)),
        ((1280, 720), None, 1.0, (1280, 720)),
        ((1280, 720), None, 0.5, (640, 360)),
        ((300, 300), 512, 1.0, (512, 512)),
    ],
)
def test_resized_as_torchvision_does(
    size: tuple[int, int], shorter: int | None, scale: float, expected: tuple[int, int]
) -> None:
    assert resized(size, shorter, scale) == expected


@pytest.mark.parametrize('seed', range(5))
def test_cut_equals_crop_of_the_resized_picture(seed: int) -> None:
    picture = _picture(333, 217)
    crop = RandomCrop.draw(resized(picture.size, 128), 64, np.random.default_rng(seed))
    whole = np.asarray(picture.resize(crop.size, Image.Resampling.BICUBIC)).astype(int)
    wanted = whole[crop.top : crop.top + 64, crop.left : crop.left + 64]
    assert np.abs(crop.cut(picture).astype(int) - wanted).max() <= 1


def test_native_size_is_an_exact_crop() -> None:
    picture = _picture(50, 40)
    crop = RandomCrop((50, 40), 32, left=11, top=5)
    assert np.array_equal(crop.cut(picture), np.asarray(picture)[5:37, 11:43])


def test_margin_is_the_picture_where_it_goes_on_and_its_mirror_beyond() -> None:
    picture = _picture(50, 40)
    levels = np.asarray(picture)
    wide = RandomCrop((50, 40), 32, left=0, top=5).cut(picture, margin=4)
    assert wide.shape == (40, 40, 3)
    assert np.array_equal(wide[4:36, 4:36], levels[5:37, 0:32])
    assert np.array_equal(wide[4:36, 36:], levels[5:37, 32:36])
    assert np.array_equal(wide[4:36, :4], levels[5:37, 1:5][:, ::-1])


def test_every_place_can_be_drawn() -> None:
    generator = np.random.default_rng(0)
    places = {(c.left, c.top) for c in (RandomCrop.draw((6, 5), 4, generator) for _ in range(300))}
    assert places == {(left, top) for left in range(3) for top in range(2)}


def test_centre_is_the_whole_resized_pictures() -> None:
    assert RandomCrop((51, 41), 32, left=0, top=0).centre() == (25, 20)
    assert RandomCrop((50, 40), 32, left=18, top=5).centre(margin=4) == (24.5 - 14, 19.5 - 1)
