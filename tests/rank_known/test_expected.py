from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from b2b_basicsr.rank_known.expected import Known, Target, beside_own, expectation, psnr
from b2b_basicsr.rank_known.spectrum import Spectrum, energy, frequencies

FREQUENCY, DIRECTION = frequencies(64)
SHARP = 1e-3 / (FREQUENCY + 0.01) ** 2 / FREQUENCY.size


def blur(width: float) -> Spectrum:
    blurred: Spectrum = np.exp(-((width * FREQUENCY) ** 2))
    return blurred


TARGET = Target(mtf=blur(5), sharp=SHARP)
LITTLE = np.full_like(SHARP, 0.05)


def test_what_the_known_blur_leaves_no_more_of_need_not_be_sharpened() -> None:
    assert expectation(TARGET, Known(blur(5), LITTLE)).sharpen == 99
    assert expectation(TARGET, Known(blur(9), LITTLE)).sharpen == 99
    assert expectation(TARGET, Known(blur(3), LITTLE)).sharpen > expectation(TARGET, Known(blur(1), LITTLE)).sharpen


def test_restored_is_worse_than_each_of_its_parts() -> None:
    known = expectation(TARGET, Known(blur(3), LITTLE))
    assert known.restored < min(known.sharpen, known.lost)
    assert 10 ** (-known.restored / 10) <= 10 ** (-known.sharpen / 10) + 10 ** (-known.lost / 10)


def test_what_is_missing_is_not_lost_once_more() -> None:
    nothing = Target(mtf=np.zeros_like(SHARP), sharp=SHARP)
    known = expectation(nothing, Known(blur(3), np.full_like(SHARP, 0.9), np.zeros_like(SHARP)))
    assert known.restored == pytest.approx(psnr(energy(SHARP)))
    assert known.direct == pytest.approx(known.restored)
    # Of what a deblurrer adds of its own no limit is known.
    worse = expectation(TARGET, Known(blur(5), np.full_like(SHARP, 3.0)))
    assert worse.restored == pytest.approx(psnr(3 * energy(SHARP)))


def test_a_deblurrer_is_wrong_where_it_does_otherwise_than_with_its_own_pictures() -> None:
    own = np.array([0.5, 0.5, 0.5, 0.0, 1.2, 1.2])
    other = np.array([0.25, 0.8, 2.0, 0.6, 1.1, 0.6])
    np.testing.assert_allclose(beside_own(other, own), [0.5, 1, 2, 1, 1, 0.6])
    np.testing.assert_array_equal(beside_own(own, own), [1, 1, 1, 0, 1, 1])


def test_a_blur_in_a_direction_where_the_target_is_sharp_costs_nothing_but_what_is_lost() -> None:
    along = np.where(np.abs(DIRECTION - 90) < 45, 0.2, 1.0)
    across = np.where(np.abs(DIRECTION - 90) < 45, 1.0, 0.2)
    target = Target(mtf=along, sharp=SHARP)
    assert expectation(target, Known(along, LITTLE)).sharpen == 99
    assert expectation(target, Known(across, LITTLE)).sharpen < 40


def test_direct_and_gain_are_known_with_a_deblurrer_alone() -> None:
    known = Known(blur(5), LITTLE)
    assert expectation(TARGET, known).direct is None
    assert expectation(TARGET, known).gain is None
    well = expectation(TARGET, dataclasses.replace(known, deblurred=np.ones_like(SHARP)))
    assert well.gain == pytest.approx(0)
    for amplitude in (0.6, 1.4):  # too little is as wrong as too much
        ill = expectation(TARGET, dataclasses.replace(known, deblurred=np.full_like(SHARP, amplitude)))
        assert ill.direct is not None
        assert ill.restored - ill.direct > 3
        assert ill.gain == pytest.approx(ill.restored - ill.direct)
