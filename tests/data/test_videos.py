from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.data.videos import Videos, middle_of
from b2b_basicsr.errors import UserError

MakePictures = Callable[..., Path]
KEY = 'datasets:train:dataroot_sharp'


@pytest.fixture
def source(make_pictures: MakePictures) -> PictureSource:
    names = (
        [f'a/{number}.png' for number in range(8, 13)] + [f'b/c/f{number}.png' for number in (1, 3, 20)] + ['b/0.png']
    )
    return PictureSource(KEY, str(make_pictures('sharp', names)), {'type': 'disk'})


def _names(source: PictureSource, frames: list[int]) -> list[str]:
    return [source.names[frame] for frame in frames]


def test_windows_are_consecutive_in_natural_order_and_all_alike(source: PictureSource) -> None:
    videos = Videos(source, 3)
    generator = np.random.default_rng(0)
    drawn = Counter(tuple(_names(source, videos.draw_window(3, generator))) for _ in range(800))
    numbers = [tuple(f'a/{first + i}.png' for i in range(3)) for first in (8, 9, 10)]
    assert set(drawn) == {*numbers, ('b/c/f1.png', 'b/c/f3.png', 'b/c/f20.png')}
    assert min(drawn.values()) > 150
    assert len(videos.draw_window(2, generator)) == 2


def test_short_folders_are_left_out_and_said_so(source: PictureSource, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger='basicsr'):
        videos = Videos(source, 4)
    assert _names(source, videos.frames) == sorted(f'a/{number}.png' for number in range(8, 13))
    assert '2 of 3 folders have fewer than 4 frames' in caplog.text
    with pytest.raises(UserError, match=r'dataroot_sharp: the folder of .*b/0\.png has too few frames'):
        videos.window_around(source.names.index('b/0.png'), 3)
    with pytest.raises(UserError, match=r'dataroot_sharp: no folder holds 6 frames .* \(the longest has 5\)'):
        Videos(source, 6)


def test_window_around_moves_inwards_at_the_ends(source: PictureSource) -> None:
    videos = Videos(source, 3)

    def around(number: int, count: int) -> list[str]:
        return _names(source, videos.window_around(source.names.index(f'a/{number}.png'), count))

    assert around(10, 3) == ['a/9.png', 'a/10.png', 'a/11.png']
    assert around(8, 3) == around(9, 3) == ['a/8.png', 'a/9.png', 'a/10.png']
    assert around(12, 4) == ['a/9.png', 'a/10.png', 'a/11.png', 'a/12.png']
    assert around(10, 2) == ['a/9.png', 'a/10.png']
    assert [middle_of(range(count)) for count in (1, 2, 3, 4)] == [0, 1, 1, 2]
    assert around(10, 1) == ['a/10.png']


def test_sizes_within_a_video(source: PictureSource, make_pictures: MakePictures) -> None:
    make_pictures('sharp', ['b/0.png'], size=(60, 60))
    videos = Videos(source, 1)
    for frame in videos.frames:
        videos.check_size(frame)
    make_pictures('sharp', ['a/10.png'], size=(60, 50))
    with pytest.raises(UserError, match=r'a/8\.png measures 48x40, .*a/10\.png 60x50; .* of one size'):
        videos.check_size(source.names.index('a/10.png'))


def test_leading_zeros_and_mixed_names_sort(make_pictures: MakePictures) -> None:
    names = ['x.png', '010.png', '9.png', 'frame_2.png', 'frame_10.png']
    source = PictureSource(KEY, str(make_pictures('mixed', names)), {'type': 'disk'})
    assert _names(source, Videos(source, 5).draw_window(5, np.random.default_rng(0))) == [
        '9.png',
        '010.png',
        'frame_2.png',
        'frame_10.png',
        'x.png',
    ]
