from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from b2b_basicsr.data import CameraShake
from b2b_basicsr.errors import UserError


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize('seed', range(20))
def test_kernel_sums_to_one_and_keeps_the_picture_in_place(seed: int) -> None:
    kernel = CameraShake(length=(3, 30), curvature=(0, 300)).kernel(_rng(seed))
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    places = np.arange(len(kernel)) - len(kernel) // 2
    assert float(kernel.sum(0) @ places) == pytest.approx(0, abs=1e-3)
    assert float(kernel.sum(1) @ places) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(('angle', 'wide_axis'), [(0, 1), (90, 0)])
def test_straight_shake_has_the_length_and_direction_asked_for(angle: float, wide_axis: int) -> None:
    shake = CameraShake(length=(12, 12), angle=(angle, angle), curvature=(0, 0), unsteadiness=(0, 0))
    path = shake.trajectory(_rng())
    spans = path.max(0) - path.min(0)
    # 12 * 8 steps, of which the first is the start
    assert spans[1 - wide_axis] == pytest.approx(12, abs=0.2)
    assert spans[wide_axis] == pytest.approx(0, abs=1e-9)


def test_path_length_survives_curvature_and_unsteadiness() -> None:
    shake = CameraShake(length=(20, 20), curvature=(360, 360), unsteadiness=(0.9, 0.9))
    steps = np.diff(shake.trajectory(_rng(3)), axis=0)
    lengths = np.hypot(*steps.T)
    assert lengths.sum() == pytest.approx(20, rel=0.03)
    headings = np.unwrap(np.arctan2(-steps[:, 1], steps[:, 0]))
    assert np.degrees(headings.max() - headings.min()) == pytest.approx(360, rel=0.02)
    assert lengths.max() / lengths.min() > 5


def test_zero_length_leaves_the_picture_alone() -> None:
    picture = _rng().integers(0, 256, (20, 24, 3), dtype=np.uint8)
    blurred = CameraShake(length=(0, 0)).blur(picture, _rng())
    np.testing.assert_allclose(blurred, picture / 255, atol=1e-5)


def test_blur_is_taken_in_linear_light() -> None:
    """Half black and half white averages to 188, the sRGB level of half the light, not to 128."""
    stripes = np.zeros((9, 200, 3), np.uint8)
    stripes[:, ::2] = 255
    shake = CameraShake(length=(40, 40), angle=(0, 0), curvature=(0, 0), unsteadiness=(0, 0))
    middle = shake.blur(stripes, _rng())[4, 60:140]
    assert middle.mean() * 255 == pytest.approx(188, abs=2)


def test_noise_has_the_deviation_asked_for() -> None:
    grey = np.full((200, 200, 3), 188, np.uint8)
    noisy = CameraShake(length=(5, 5), shot_noise=(0, 0), read_noise=(0.02, 0.02)).blur(grey, _rng())
    light = np.where(noisy <= 0.04045, noisy / 12.92, ((noisy + 0.055) / 1.055) ** 2.4)
    assert light.std() == pytest.approx(0.02, rel=0.05)
    shot = CameraShake(length=(5, 5), shot_noise=(0.02, 0.02)).blur(grey, _rng())
    light = ((shot + 0.055) / 1.055) ** 2.4
    assert light.std() == pytest.approx(0.02 * 0.503**0.5, rel=0.05)


def test_same_generator_same_blur() -> None:
    picture = _rng().integers(0, 256, (32, 32, 3), dtype=np.uint8)
    shake = CameraShake(read_noise=(0, 0.01))
    assert np.array_equal(shake.blur(picture, _rng(5)), shake.blur(picture, _rng(5)))
    assert not np.array_equal(shake.blur(picture, _rng(5)), shake.blur(picture, _rng(6)))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'lenght': [1, 2]}, r'synth_known_opt:lenght: unknown key; did you mean length\?'),
        ({'length': [9, 3]}, r'synth_known_opt:length: \[9, 3\]: .*falls'),
        ({'length': [0, 999]}, r'length.*must lie in \[0, 255\]'),
        ({'length': ['1e1', 20]}, r'length:0: .*YAML reads 1e-4 as text'),
        ({'length': 5}, r'length: 5: .*tuple'),
    ],
)
def test_bad_options_are_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        CameraShake.from_options('datasets:train:synth_known_opt', options)
    assert '\n' not in str(error.value)


def test_constructor_checks_too() -> None:
    with pytest.raises(ValidationError):
        CameraShake(unsteadiness=(0, 1))
