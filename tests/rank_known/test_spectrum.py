from __future__ import annotations

import numpy as np
import pytest

from b2b_basicsr.rank_known.spectrum import energy, frequencies, mean_of_equal_contrast, power_spectrum
from tests.rank_known.blurred_sets import scene


@pytest.mark.parametrize(('right', 'down', 'direction'), [(8, 0, 0), (0, 8, 90), (6, 6, 135), (6, -6, 45)])
def test_a_wave_is_found_at_its_frequency_and_direction(right: int, down: int, direction: float) -> None:
    rows, columns = np.mgrid[:128, :128]
    wave = 0.5 + 0.2 * np.sin(2 * np.pi * (right * columns + down * rows) / 64)
    spectrum = power_spectrum(wave.astype(np.float32), 64)
    frequency, angle = frequencies(64)
    most = np.unravel_index(spectrum.argmax(), spectrum.shape)
    assert frequency[most] == pytest.approx(np.hypot(right, down) / 64)
    assert angle[most] == pytest.approx(direction)
    assert energy(spectrum) == pytest.approx(0.2**2 / 2, rel=0.02)


@pytest.mark.parametrize('size', [(64, 64), (65, 131), (1000, 70)])
def test_energy_is_the_variance_whatever_the_size(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, size).astype(np.float32)
    assert energy(power_spectrum(noise, 64)) == pytest.approx(0.01, rel=0.1)


def test_contrast_of_a_picture_weighs_nothing() -> None:
    generator = np.random.default_rng(0)
    smooth, rough = (generator.normal(0, 0.1, (96, 96)).astype(np.float32).cumsum(axis) for axis in (0, 1))
    one, other = power_spectrum(smooth, 64), power_spectrum(rough, 64)
    np.testing.assert_allclose(mean_of_equal_contrast([one, other]), mean_of_equal_contrast([one * 4, other]))


def test_a_picture_of_hardly_anything_but_noise_spoils_no_mean() -> None:
    pictures = [scene(seed).mean(axis=2).astype(np.float32) / 255 for seed in range(19)]
    noise = np.random.default_rng(0).normal(0.5, 1 / 255, pictures[0].shape).astype(np.float32)
    spectra = [power_spectrum(picture, 48) for picture in pictures]
    without, beside = mean_of_equal_contrast(spectra), mean_of_equal_contrast([*spectra, power_spectrum(noise, 48)])
    np.testing.assert_allclose(beside, without, rtol=0.15)


def test_a_picture_of_nothing_is_no_division_by_zero() -> None:
    flat = power_spectrum(np.full((64, 64), 0.3, np.float32), 64)
    assert np.isfinite(mean_of_equal_contrast([flat])).all()
