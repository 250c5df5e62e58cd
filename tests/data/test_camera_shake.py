from __future__ import annotations

import math
from typing import Any

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


def test_options_without_rotation_give_what_they_gave_before_there_was_one() -> None:
    """Numbers of the version that knew no rotation: same draws, same kernel, same noise."""
    shake = CameraShake(shot_noise=(0, 0.01), read_noise=(0, 0.01))
    kernel = shake.kernel(_rng(3))
    assert kernel.shape == (7, 7)
    assert (kernel @ np.arange(7)).round(6).tolist() == pytest.approx(
        [0.125971, 0.923462, 0.597544, 0.407381, 0.506822, 0.43882, 0.0], abs=2e-6
    )
    picture = _rng().integers(0, 256, (40, 48, 3), dtype=np.uint8)
    blurred = shake.blur(picture, _rng(5))
    assert blurred.shape == (40, 48, 3)
    assert blurred[::13, ::15, 1][1].tolist() == pytest.approx([0.628789, 0.614827, 0.685563, 0.604743], abs=2e-6)
    assert np.array_equal(shake.blur(picture, _rng(5), centre=(99.0, 3.0), margin=6), blurred[6:-6, 6:-6])


def _turning(**options: Any) -> CameraShake:
    return CameraShake(**{'length': (0, 0), 'rotation': (10, 10), 'unsteadiness': (0, 0), **options})


def test_turn_has_the_angle_asked_for_and_both_signs() -> None:
    motions = [_turning(unsteadiness=(0.5, 0.5)).motion(_rng(seed), 2, reach=300) for seed in range(20)]
    for motion in motions:
        assert len(motion) == math.ceil(2 * 300 * math.radians(10))
        assert np.degrees(np.ptp(motion.turn)) == pytest.approx(10, rel=0.03)
        assert motion.turn.mean() == pytest.approx(0, abs=1e-12)
        assert (np.diff(motion.turn) > 0).all() or (np.diff(motion.turn) < 0).all()
    assert len({motion.turn[0] > 0 for motion in motions}) == 2


@pytest.mark.parametrize('seed', range(3))
def test_turning_draws_nothing_at_the_centre_and_more_and_more_outwards(seed: int) -> None:
    """Dots on a row through the centre become upright streaks as long as the arcs."""
    picture = np.zeros((81, 121, 3), np.uint8)
    distances = [0, 20, 40, 56]
    for distance in distances:
        picture[40, 60 + distance] = 255
    blurred = _turning().blur(picture, _rng(seed))
    light = np.where(blurred <= 0.04045, blurred / 12.92, ((blurred + 0.055) / 1.055) ** 2.4)[..., 1]
    assert light[40, 60] == pytest.approx(1, abs=1e-5)
    for distance in distances:
        around = light[:, 60 + distance - 4 : 60 + distance + 5]
        places = np.arange(81) - 40
        assert around.sum() == pytest.approx(1, abs=0.02)
        spread = np.sqrt((around.sum(1) @ places**2) / around.sum())
        # the standard deviation of an even streak, and of the bilinear sampling of a dot
        assert spread == pytest.approx(math.hypot(distance * math.radians(10) / 12**0.5, 0.35), abs=0.4)
        assert around.sum(1) @ places == pytest.approx(0, abs=0.05)


def test_other_centres_and_margins_cut_out_of_the_whole() -> None:
    picture = _rng().integers(0, 256, (90, 110, 3), dtype=np.uint8)
    shake = CameraShake(length=(6, 6), rotation=(2, 2), reach=70)
    whole = shake.blur(picture, _rng(1), centre=(54.5, 44.5))
    assert np.array_equal(whole, shake.blur(picture, _rng(1)))
    margin = shake.margin
    part = shake.blur(picture[10:80, 30:110], _rng(1), centre=(24.5, 34.5), margin=margin)
    # The crop's farthest corner is as far from the centre as the picture's, so that the instants are the same.
    corner = whole[10 + margin : 80 - margin, 30 + margin : 110 - margin]
    assert part.shape == corner.shape
    np.testing.assert_allclose(part, corner, atol=0.02)
    wrong = shake.blur(picture[10:80, 30:110], _rng(1), margin=margin)
    assert np.abs(wrong - corner).max() > 0.1


@pytest.mark.parametrize('seed', range(10))
@pytest.mark.parametrize('unsteadiness', [0.0, 0.95])
@pytest.mark.parametrize('length', [0, 20])
def test_margin_holds_all_that_the_blur_draws_on(seed: int, unsteadiness: float, length: float) -> None:
    shake = _turning(length=(length, length), rotation=(6, 6), unsteadiness=(unsteadiness, unsteadiness), reach=200)
    motion = shake.motion(_rng(seed), 2, 200)
    corner = np.array([120.0, 160.0])
    for shift, turn in zip(motion.shift, motion.turn, strict=True):
        back = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        assert np.linalg.norm(back @ (corner - shift) - corner) <= shake.margin - 1
    assert CameraShake().margin == 26


@pytest.mark.parametrize('options', [{}, {'rotation': (0.5, 3)}])
def test_whole_pictures_have_the_same_bytes_for_the_same_seed(options: dict[str, Any]) -> None:
    picture = _rng().integers(0, 256, (40, 52, 3), dtype=np.uint8)
    shake = CameraShake(length=(3, 9), read_noise=(0.01, 0.01), **options)
    blurred = shake.blur_whole(picture, seed=7)
    assert (blurred.shape, blurred.dtype) == (picture.shape, np.uint8)
    assert np.array_equal(blurred, shake.blur_whole(picture, seed=7, device='cpu'))
    assert not np.array_equal(blurred, shake.blur_whole(picture, seed=8))


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
        ({'length': ['1e1', 20]}, r'length:0: .*YAML reads 1e1 as text: write 10 or !!float 1e1'),
        ({'rotation': [0, 31]}, r'rotation.*must lie in \[0, 30\]'),
        ({'reach': 0}, r'reach: 0: .*greater than 0'),
        ({'on_device': 1}, r'on_device: 1: must be true or false'),
        ({'length': 5}, r'length: 5: must be two numbers'),
    ],
)
def test_bad_options_are_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        CameraShake.from_options('datasets:train:synth_known_opt', options)
    assert '\n' not in str(error.value)


def test_constructor_checks_too() -> None:
    with pytest.raises(ValidationError):
        CameraShake(unsteadiness=(0, 1))


def test_a_range_that_is_one_number_is_told_what_to_write() -> None:
    with pytest.raises(UserError, match=r'synth_known_opt:length: 0: must be two numbers, as \[1, 2\]'):
        CameraShake.from_options('synth_known_opt', {'length': 0})
