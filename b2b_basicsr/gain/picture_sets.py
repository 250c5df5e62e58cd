"""The picture sets of ``b2b bench gain``, one folder for each camera."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from b2b_basicsr.data.linear_light import light_of_levels
from b2b_basicsr.gain.blurs import beyond_white
from b2b_basicsr.gain.camera_look import Levels, Light
from b2b_basicsr.gain.cameras import Camera
from b2b_basicsr.gain.scenes import Scenes

TAKES_OF_KNOWN = 2
"""Blurry pictures of each of the known camera's scenes."""


def make_known_sets(folder: Path, camera: Camera, scenes: Scenes) -> None:
    """Writes the known camera's pairs: ``blurry`` and ``gt`` for training, ``test_blurry`` and ``test_gt`` held out."""
    for place, take in _takes(scenes.parts['known'], TAKES_OF_KNOWN, camera.name):
        _write_pair(folder, '', camera, scenes, place, take)
    for place, take in _takes(scenes.parts['held_out'], 1, camera.name):
        _write_pair(folder, 'test_', camera, scenes, place, take)


def make_target_sets(folder: Path, camera: Camera, scenes: Scenes) -> None:
    """Writes a target camera's sets.

    - ``blurry`` (B) and ``sharp`` (S), of different scenes.
    - ``gt``: B's sharp twins, which no training of Blur2Blur sees; the oracle is trained on them.
    - ``test_blurry`` and ``test_gt``: held-out pairs.
    """
    for place, take in _takes(scenes.parts['blurry'], 1, camera.name):
        _write_pair(folder, '', camera, scenes, place, take)
    for place, _ in _takes(scenes.parts['sharp'], 1, f'{camera.name}, sharp'):
        _write_sharp(folder / 'sharp', camera, scenes, place)
    for place, take in _takes(scenes.parts['held_out'], 1, camera.name):
        _write_pair(folder, 'test_', camera, scenes, place, take)


def make_pool(folder: Path, camera: Camera, scenes: Scenes) -> None:
    """Writes ``pool_blurry`` and ``pool_sharp``: all scenes of B and S, in both, for ``ratio`` to share out."""
    places = sorted([*scenes.parts['blurry'], *scenes.parts['sharp']])
    for place, take in _takes(places, 1, f'{camera.name}, pool'):
        _write_pair(folder, 'pool_', camera, scenes, place, take)
        _write_sharp(folder / 'pool_sharp', camera, scenes, place)


def _takes(places: list[int], count: int, title: str) -> Iterator[tuple[int, int]]:
    for place in tqdm(places, desc=f'pictures ({title})', unit='scene', leave=False):
        for take in range(count):
            yield place, take


def _generator(camera: Camera, place: int, purpose: str) -> np.random.Generator:
    """Hangs on what it is for alone, not on what was made before."""
    return np.random.default_rng([zlib.crc32(f'{camera.name} {purpose}'.encode()), place])


def _light(camera: Camera, scenes: Scenes, place: int) -> Light:
    """A scene's light as it comes to the camera."""
    return beyond_white(light_of_levels(scenes.photograph(place)), camera.highlights)


def _write_pair(folder: Path, prefix: str, camera: Camera, scenes: Scenes, place: int, take: int) -> None:
    """The blurry picture as the camera's JPEG, and its sharp twin, free of noise, as PNG."""
    generator = _generator(camera, place, f'take {take}')
    light = _light(camera, scenes, place)
    blurry = camera.look.taken(camera.blur.of(light, generator), generator)
    name = f'{scenes.name(place)}_{take}'
    _save_jpeg(blurry, folder / f'{prefix}blurry' / f'{name}.jpg', camera)
    gt = folder / f'{prefix}gt' / f'{name}.png'
    gt.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(camera.look.without_noise(light)).save(gt, compress_level=1)


def _write_sharp(folder: Path, camera: Camera, scenes: Scenes, place: int) -> None:
    light = _light(camera, scenes, place)
    taken = camera.look.taken(light, _generator(camera, place, 'sharp'))
    _save_jpeg(taken, folder / f'{scenes.name(place)}.jpg', camera)


def _save_jpeg(picture: Levels, path: Path, camera: Camera) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=camera.look.jpeg_quality, subsampling=0)
