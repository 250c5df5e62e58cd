from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from b2b_basicsr.data.camera_shake import CameraShake
from b2b_basicsr.prepare.blur_score import blur_score


def scene(seed: int, size: tuple[int, int] = (160, 120)) -> NDArray[np.uint8]:
    """Overlapping rectangles and circles, with edges of all directions; uint8 [h, w, 3]."""
    generator = np.random.default_rng(seed)
    width, height = size
    picture = np.full((height, width, 3), 128, dtype=np.uint8)
    for _ in range(60):
        colour = generator.integers(0, 256, 3).tolist()
        x, y = int(generator.integers(width)), int(generator.integers(height))
        cv2.circle(picture, (x, y), int(generator.integers(3, 14)), colour, -1)
        x, y = int(generator.integers(width)), int(generator.integers(height))
        box = cv2.boxPoints(((x, y), (float(generator.integers(4, 30)), 6.0), float(generator.integers(180))))
        cv2.fillPoly(picture, [box.astype(np.int32)], colour)
    return picture


def shaken(picture: NDArray[np.uint8], length: float, angle: float = 0, noise: float = 0) -> NDArray[np.uint8]:
    shake = CameraShake(length=(length, length), angle=(angle, angle), curvature=(0, 0), shot_noise=(noise, noise))
    return (shake.blur(picture, np.random.default_rng(0)) * 255).round().astype(np.uint8)


@pytest.mark.parametrize('angle', [0, 45, 90, 135])
@pytest.mark.parametrize('noise', [0.0, 0.02])
def test_more_blur_scores_higher_in_every_direction(angle: float, noise: float) -> None:
    picture = scene(0)
    scores = [blur_score(shaken(picture, length, angle, noise)) for length in (0, 3, 6, 12, 20)]
    assert scores == sorted(scores)
    assert scores[-1] - scores[0] > 0.2
    assert all(0 <= score <= 1 for score in scores)


def test_strong_and_weak_blur_of_different_scenes_are_told_apart() -> None:
    weak = [blur_score(shaken(scene(seed), 2, angle=31 * seed)) for seed in range(5)]
    strong = [blur_score(shaken(scene(seed), 18, angle=31 * seed)) for seed in range(5, 10)]
    assert max(weak) < min(strong)


def test_a_diagonal_shake_counts_like_a_level_one() -> None:
    level, diagonal = (np.mean([blur_score(shaken(scene(seed), 15, angle)) for seed in range(4)]) for angle in (0, 45))
    assert abs(level - diagonal) < 0.08


def test_both_formats_score_alike() -> None:
    picture = shaken(scene(3), 9, 20)
    assert blur_score(np.ascontiguousarray(np.rot90(picture))) == pytest.approx(blur_score(picture), abs=0.02)


@pytest.mark.parametrize('size', [(1, 1), (3, 2), (200, 9)])
def test_a_picture_without_detail_and_a_tiny_one_have_a_score(size: tuple[int, int]) -> None:
    width, height = size
    assert blur_score(np.full((height, width, 3), 77, dtype=np.uint8)) == 1
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert 0 <= blur_score(noise) <= 1
