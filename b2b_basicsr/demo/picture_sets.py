"""The demo's picture sets: a camera with unknown blur, known pairs, and held-out photographs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from b2b_basicsr.data.camera_shake import CameraShake
from b2b_basicsr.data.crop_augmentation import CropAugmentation
from b2b_basicsr.data.defocus import defocus_kernel
from b2b_basicsr.data.linear_light import as_levels, blur_in_linear_light
from b2b_basicsr.demo.photographs import BLURRY, HELD_OUT, SHARP, Photograph, load

KNOWN_PAIRS_OF_EACH = 8
TAKES_OF_EACH = 6
DEFOCUS_RADIUS = (1.5, 2.5)
SUB_IMAGE = 160
SUB_IMAGES_OF_EACH = 8
READ_NOISE = 0.001


def _takes(photograph: Photograph, count: int, generator: np.random.Generator, smallest: float) -> Iterator[Photograph]:
    """The photograph as it is, and from farther away."""
    for take in range(count):
        scale = max(generator.uniform(smallest, 1) if take else 1.0, SUB_IMAGE / min(photograph.shape[:2]))
        size = (round(photograph.shape[1] * scale), round(photograph.shape[0] * scale))
        yield np.asarray(Image.fromarray(photograph).resize(size, Image.Resampling.BICUBIC))


def make_picture_sets(root: Path, known_blur: Mapping[str, Any], seed: int) -> None:
    """Writes all sets below ``root``, 8-bit PNG.

    - ``known_blur`` and ``known_sharp``: the deblurrer's pairs, of S's photographs, varied in size and colour.
      Training pictures are sub-images, cut after they have been blurred, as BasicSR's manuals advise: reading a whole
      photograph for each small crop would take longer than the step. Every photograph gives as many.
    - ``blurry`` (B, defocused) and ``sharp`` (S): the camera whose blur is unknown.
    - ``test_blurry`` and ``test_sharp``: held-out photographs with three strengths of the unknown blur.
    - ``test_known_blur`` and ``test_known_sharp``: the same photographs with the known blur.

    Args:
        root: folder, made if it is not there.
        known_blur: the ``synth_known_opt`` section that the trainings use.
        seed: of every random choice.
    """
    shake = CameraShake.from_options('synth_known_opt', known_blur)
    colours = CropAugmentation(gamma=(0.7, 1.4), contrast=(0.6, 1.2), channel_shuffle=True)
    generator = np.random.default_rng(seed)

    def defocused(sharp: Photograph, radius: float) -> Photograph:
        return as_levels(blur_in_linear_light(sharp, defocus_kernel(radius), generator, read_noise=READ_NOISE))

    sharp, blurry, held_out = load(SHARP), load(BLURRY), load(HELD_OUT)
    for name, photograph in sharp.items():
        for take, picture in enumerate(_takes(photograph, KNOWN_PAIRS_OF_EACH, generator, 0.7)):
            pair = (
                as_levels(colours.recolour(picture.astype(np.float32) / np.float32(255), generator))
                if take
                else picture
            )
            blurred = as_levels(shake.blur(pair, generator))
            for part, square in enumerate(_squares(pair, generator)):
                _save(pair[square], root / 'known_sharp' / f'{name}_{take}{part}.png')
                _save(blurred[square], root / 'known_blur' / f'{name}_{take}{part}.png')
        for take, picture in enumerate(_takes(photograph, TAKES_OF_EACH, generator, 0.5)):
            for part, square in enumerate(_squares(picture, generator)):
                _save(picture[square], root / 'sharp' / f'{name}_{take}{part}.png')
    for name, photograph in blurry.items():
        for take, picture in enumerate(_takes(photograph, TAKES_OF_EACH, generator, 0.5)):
            blurred = defocused(picture, generator.uniform(*DEFOCUS_RADIUS))
            for part, square in enumerate(_squares(picture, generator)):
                _save(blurred[square], root / 'blurry' / f'{name}_{take}{part}.png')
    for name, photograph in held_out.items():
        for radius in np.linspace(*DEFOCUS_RADIUS, 3):
            file = f'{name}_defocus_{radius:.1f}px.png'
            _save(photograph, root / 'test_sharp' / file)
            _save(defocused(photograph, radius), root / 'test_blurry' / file)
        _save(photograph, root / 'test_known_sharp' / f'{name}.png')
        _save(as_levels(shake.blur(photograph, generator)), root / 'test_known_blur' / f'{name}.png')


def _squares(picture: Photograph, generator: np.random.Generator) -> Iterator[tuple[slice, slice]]:
    """Where sub-images are cut, at random."""
    height, width = picture.shape[:2]
    for _ in range(SUB_IMAGES_OF_EACH):
        top = int(generator.integers(height - SUB_IMAGE + 1))
        left = int(generator.integers(width - SUB_IMAGE + 1))
        yield slice(top, top + SUB_IMAGE), slice(left, left + SUB_IMAGE)


def _save(picture: Photograph, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, compress_level=1)  # thirty times faster than the smallest file
