from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from b2b_basicsr.gain.cameras import known_cameras, target_cameras
from b2b_basicsr.gain.picture_sets import TAKES_OF_KNOWN, make_known_sets, make_pool, make_target_sets
from b2b_basicsr.gain.scenes import Scenes
from tests.gain.conftest import make_photos

TARGETS = ('shake', 'defocus', 'turning')


def _scenes_in(folder: Path) -> set[str]:
    return {path.stem[:5] for path in folder.iterdir()}


def _edges(picture: np.ndarray) -> float:
    return float(sum(np.square(np.diff(picture, axis=axis)).mean() for axis in (0, 1)))


def _pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(float)


@pytest.fixture(scope='module')
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp('of_module') / 'photos')


@pytest.fixture(scope='module')
def made(photos: Path) -> Mapping[str, Path]:
    tmp_path = photos.parent
    scenes = Scenes(photos, 64)
    cameras = {**target_cameras(None), 'horizontal': known_cameras()['horizontal']}
    for name, camera in cameras.items():
        (make_target_sets if name in TARGETS else make_known_sets)(tmp_path / 'data' / name, camera, scenes)
    return {name: tmp_path / 'data' / name for name in cameras}


def test_no_scene_is_in_two_sets(made: Mapping[str, Path]) -> None:
    known = made['horizontal']
    for name in TARGETS:
        sets = [_scenes_in(made[name] / part) for part in ('blurry', 'sharp', 'test_blurry')]
        sets.append(_scenes_in(known / 'blurry'))
        assert sum(map(len, sets)) == len(set().union(*sets)) == 20
        assert _scenes_in(made[name] / 'gt') == sets[0]
        assert _scenes_in(known / 'test_gt') == _scenes_in(made[name] / 'test_gt') == sets[2]
    assert len(list((known / 'blurry').iterdir())) == TAKES_OF_KNOWN * len(_scenes_in(known / 'blurry'))


def test_pairs_are_aligned_and_blurred(made: Mapping[str, Path]) -> None:
    for folder in made.values():
        for blurry in sorted((folder / 'test_blurry').iterdir()):
            lq, gt = _pixels(blurry), _pixels(folder / 'test_gt' / f'{blurry.stem}.png')
            assert lq.shape == gt.shape
            assert 0.5 < np.abs(lq - gt).mean() < 60
            assert _edges(lq) < 0.8 * _edges(gt)
            at_home = np.abs(lq - gt)[8:-8, 8:-8].mean()
            for away in (np.roll(lq, 6, 0), np.roll(lq, -6, 1)):
                assert np.abs(away - gt)[8:-8, 8:-8].mean() > at_home


def test_cameras_differ_in_more_than_blur(made: Mapping[str, Path]) -> None:
    known = _pixels(next(iter(sorted((made['horizontal'] / 'test_gt').iterdir()))))
    for name in TARGETS:
        theirs = _pixels(next(iter(sorted((made[name] / 'test_gt').iterdir()))))
        assert (
            0.5 < np.abs(theirs - known).mean() < 15
        )  # the tone curve, in ground truth that has neither noise nor JPEG


def test_the_same_pictures_each_time(made: Mapping[str, Path], photos: Path, tmp_path: Path) -> None:
    make_target_sets(tmp_path / 'again', target_cameras(None)['turning'], Scenes(photos, 64))
    for path in made['turning'].rglob('*.*'):
        assert path.read_bytes() == (tmp_path / 'again' / path.relative_to(made['turning'])).read_bytes()


def test_the_pool_holds_all_scenes_of_both_sides(made: Mapping[str, Path], photos: Path, tmp_path: Path) -> None:
    camera = target_cameras(None)['defocus']
    make_pool(tmp_path / 'pool', camera, Scenes(photos, 64))
    both = _scenes_in(made['defocus'] / 'blurry') | _scenes_in(made['defocus'] / 'sharp')
    assert _scenes_in(tmp_path / 'pool' / 'pool_blurry') == both == _scenes_in(tmp_path / 'pool' / 'pool_sharp')
    for path in (made['defocus'] / 'blurry').iterdir():
        assert path.read_bytes() == (tmp_path / 'pool' / 'pool_blurry' / path.name).read_bytes()
