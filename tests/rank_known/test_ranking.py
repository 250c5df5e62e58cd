from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from b2b_basicsr.errors import UserError
from b2b_basicsr.rank_known.candidate import candidate_of, pictures_of
from b2b_basicsr.rank_known.expected import Expectation
from b2b_basicsr.rank_known.ranking import By, Ranking, rank_known
from b2b_basicsr.rank_known.sample import sampled
from tests.rank_known.blurred_sets import write_pairs, write_set

KNOWN = {'none': (1, 1), 'rows': (9, 1), 'columns': (1, 9), 'wide': (21, 21)}


@pytest.fixture(scope='module')
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target whose blur is along the rows, and known sets; no scene is in two."""
    folder = tmp_path_factory.mktemp('sets')
    write_set(folder / 'blurry', range(24), (7, 1))
    write_set(folder / 'sharp', range(100, 124), None)
    for place, (name, blur) in enumerate(KNOWN.items(), 2):
        write_pairs(folder / name, range(100 * place, 100 * place + 16), blur)
    return folder


def ranked(sets: Path, by: By = 'restored', pictures: int = 200, deblur: bool = False) -> Ranking:
    candidates = [candidate_of(str(sets / name)) for name in KNOWN]
    deblurrers = dict.fromkeys(KNOWN, sharpened_along_the_rows) if deblur else {}
    source = pictures_of('--blurry', sets / 'blurry')
    return rank_known(source, pictures_of('--sharp', sets / 'sharp'), candidates, deblurrers, by, pictures)


def sharpened_along_the_rows(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    sharper = picture.astype(np.float32) * 2.5 - cv2.blur(picture, (7, 1)).astype(np.float32) * 1.5
    levels: NDArray[np.uint8] = np.clip(sharper, 0, 255).astype(np.uint8)
    return levels


def expected(ranking: Ranking) -> dict[str, Expectation]:
    return {one.name: one.expected for one in ranking.ranked}


def test_a_blur_like_the_targets_comes_first_and_one_that_leaves_nothing_last(sets: Path) -> None:
    ranking = ranked(sets)
    names = [one.name for one in ranking.ranked]
    assert names[0] == 'rows'
    assert names[-1] == 'wide'
    assert [row['rank'] for row in ranking.rows()] == [1, 2, 3, 4]
    found = expected(ranking)
    assert found['rows'].sharpen > found['columns'].sharpen + 3
    assert found['none'].lost > found['rows'].lost > found['wide'].lost


def test_the_targets_blur_is_found_without_pairs(sets: Path) -> None:
    """Against the candidate of nearly that blur, whose twins are known."""
    from b2b_basicsr.rank_known.spectrum import frequencies

    ranking = ranked(sets)
    frequency, direction = frequencies(ranking.target.mtf.shape[0])
    middle = (frequency > 0.04) & (frequency < 0.2)
    along = middle & (np.minimum(direction, 180 - direction) < 22)
    across = middle & (np.abs(direction - 90) < 22)
    assert ranking.target.mtf[along].mean() == pytest.approx(ranking.known['rows'].mtf[along].mean(), abs=0.2)
    assert ranking.target.mtf[along].mean() < 0.6
    assert ranking.target.mtf[across].mean() > 0.8


def test_deblurrers_tell_what_is_gained(sets: Path) -> None:
    ranking = ranked(sets, 'gain', pictures=8, deblur=True)
    gains = [one.expected.gain for one in ranking.ranked]
    assert all(gain is not None for gain in gains)
    assert gains == sorted(gains, key=lambda gain: gain or 0, reverse=True)
    assert expected(ranking)['rows'].lost != expected(ranked(sets, pictures=8))['rows'].lost
    with pytest.raises(UserError, match='--by gain'):
        ranked(sets, 'gain')


@pytest.mark.parametrize('blur', [(7, 1), (15, 15)])
def test_a_target_of_the_known_blur_gains_nothing_however_bad_the_deblurrer(
    tmp_path: Path, blur: tuple[int, int]
) -> None:
    write_set(tmp_path / 'blurry', range(24), blur)
    write_set(tmp_path / 'sharp', range(100, 124), None)
    candidate = candidate_of(str(write_pairs(tmp_path / 'known', range(200, 224), blur)))
    blurry, sharp = (pictures_of(f'--{part}', tmp_path / part) for part in ('blurry', 'sharp'))
    (one,) = rank_known(blurry, sharp, [candidate], {'known': lambda picture: picture}, 'gain').ranked
    assert one.expected.gain is not None
    assert abs(one.expected.gain) < 0.7


def test_the_seed_chooses_the_pictures() -> None:
    assert sampled(range(5), 9, 0) == [0, 1, 2, 3, 4]
    some = sampled(range(100), 10, 0)
    assert len(set(some)) == 10
    assert some == sorted(some) == sampled(range(100), 10, 0) != sampled(range(100), 10, 1)


@pytest.mark.parametrize(('size', 'told'), [((63, 200), 'has a side of 63 pixels'), ((96, 97), 'must be of one size')])
def test_pictures_that_do_not_serve_are_named(tmp_path: Path, size: tuple[int, int], told: str) -> None:
    write_set(tmp_path / 'blurry', range(2), (7, 1))
    write_set(tmp_path / 'sharp', range(3, 5), None)
    write_pairs(tmp_path / 'known', range(6, 8), (9, 1))
    Image.new('RGB', size).save(tmp_path / 'known' / 'train' / 'blur' / '006.png')
    candidate = candidate_of(str(tmp_path / 'known'))
    blurry, sharp = (pictures_of(f'--{part}', tmp_path / part) for part in ('blurry', 'sharp'))
    with pytest.raises(UserError, match=told) as caught:
        rank_known(blurry, sharp, [candidate], {})
    assert '006.png' in str(caught.value)
