from __future__ import annotations

import numpy as np
import pytest

from b2b_basicsr.gain.blurs import Blur, beyond_white
from b2b_basicsr.gain.camera_look import CameraLook
from b2b_basicsr.gain.cameras import known_cameras, target_cameras

BLURS = {name: camera.blur for name, camera in {**target_cameras(None), **known_cameras()}.items()}


@pytest.mark.parametrize('blur', BLURS.values(), ids=BLURS)
def test_blur_keeps_light_and_hangs_on_the_generator_alone(blur: Blur) -> None:
    light = np.zeros((96, 128, 3), np.float32)
    light[40:56, 56:72] = 2.0
    first = blur.of(light, np.random.default_rng(1))
    assert first.shape == light.shape
    assert first.dtype == np.float32
    assert first.sum() == pytest.approx(light.sum(), rel=0.02)
    assert first.max() > 1  # clipping is the sensor's
    assert np.array_equal(first, blur.of(light, np.random.default_rng(1)))
    assert not np.allclose(first, blur.of(light, np.random.default_rng(2)))


def test_turning_varies_over_the_picture() -> None:
    light = np.zeros((201, 301, 3), np.float32)
    light[100, 150] = light[40, 40] = 1.0
    blur = target_cameras(None)['turning'].blur
    blurred = [blur.of(light, np.random.default_rng(seed))[..., 0] for seed in range(6)]
    in_the_middle = [np.count_nonzero(picture[70:131, 120:181]) for picture in blurred]
    away = [np.count_nonzero(picture[10:71, 10:71]) for picture in blurred]
    assert np.mean(away) > 1.1 * np.mean(in_the_middle)


def test_highlights_are_raised_and_all_else_is_left() -> None:
    light = np.array([0.0, 0.3, 0.8, 0.9, 1.0], np.float32)
    raised = beyond_white(light, 3.0)
    assert np.allclose(raised[:3], light[:3])
    assert raised[3] > light[3]
    assert raised[4] == pytest.approx(3.0)
    assert np.array_equal(beyond_white(light, 1.0), light)


def test_a_camera_makes_levels_of_light() -> None:
    ramp = np.linspace(0, 1.2, 50, dtype=np.float32)[:, None, None].repeat(40, 1).repeat(3, 2)
    steep, plain = (CameraLook(0.01, 0.005, contrast, 95) for contrast in (0.3, 0.0))
    ideal = steep.without_noise(ramp)
    assert ideal.dtype == np.uint8
    assert (np.diff(ideal[:, 0, 0].astype(int)) >= 0).all()
    assert ideal[0, 0, 0] == 0
    assert ideal[-1, 0, 0] == 255
    dark = plain.without_noise(ramp)[3, 0, 0]
    assert ideal[3, 0, 0] < dark
    taken = steep.taken(ramp, np.random.default_rng(0)).astype(float)
    assert 0.3 < (taken - ideal)[5:40].std() < 10
