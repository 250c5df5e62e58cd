"""The features that NIQE compares."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from basicsr.metrics.niqe import compute_feature, niqe

from b2b_basicsr.metrics.natural_statistics import LikenessToPictures, block_features, picture_features

Levels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def _grey(seed: int, height: int = 64, width: int = 96) -> Levels:
    noise = np.random.default_rng(seed).normal(128, 60, (height, width))
    return np.clip(cv2.GaussianBlur(noise, (0, 0), 1.2), 0, 255).astype(np.uint8)


def test_basicsr_finds_the_same_features_block_by_block() -> None:
    grey = _grey(0)
    luma = grey.astype(np.float64)
    mean = cv2.GaussianBlur(luma, (7, 7), 7 / 6, borderType=cv2.BORDER_REPLICATE)
    square = cv2.GaussianBlur(luma**2, (7, 7), 7 / 6, borderType=cv2.BORDER_REPLICATE)
    normalised = (luma - mean) / (np.sqrt(np.abs(square - mean**2)) + 1)
    theirs = [
        compute_feature(normalised[top : top + 32, left : left + 32]) for top in (0, 32) for left in (0, 32, 64)
    ]  # fmt: skip
    ours = block_features(grey, 32)
    assert ours.shape == (6, 36)
    np.testing.assert_allclose(ours[:, :18], theirs, rtol=1e-3, atol=1e-3)


def test_what_is_left_over_at_the_borders_is_not_looked_at() -> None:
    grey = _grey(1, 64, 64)
    wider = cv2.copyMakeBorder(grey, 0, 9, 0, 21, cv2.BORDER_CONSTANT, value=0)
    np.testing.assert_array_equal(block_features(np.asarray(wider, np.uint8), 32), block_features(grey, 32))


def test_blocks_without_texture_do_not_count_unless_there_is_nothing_else() -> None:
    half = _grey(2, 64, 64)
    half[:, :40] = 255  # beyond the first blocks, whose last pixels look over the border
    whole = block_features(half, 32)
    assert whole.shape == (2, 36)
    flat = block_features(np.full((64, 64), 7, np.uint8), 32)
    assert flat.shape == (4, 36)
    assert np.isfinite(flat).all()


def test_the_mean_over_the_blocks_is_the_pictures() -> None:
    grey = _grey(3)
    bgr = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_allclose(picture_features(bgr, 32), block_features(grey, 32).mean(axis=0))


def test_the_distance_is_mahalanobis() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(3, [1, 10], (4000, 2))
    likeness = LikenessToPictures.fitted(features)
    assert likeness.distance(np.array([3 + 2, 3])) == pytest.approx(2, rel=0.1)
    assert likeness.distance(np.array([3, 3 + 20])) == pytest.approx(2, rel=0.1)
    few = LikenessToPictures.fitted(generator.normal(size=(5, 36)))
    assert np.isfinite(few.distance(np.ones(36)))


def test_it_ranks_as_niqe_does_when_fitted_to_the_same_pictures() -> None:
    """Of one picture blurred more and more, both go further from the sharp ones."""
    sharp = [_grey(seed, 192, 192) for seed in range(12)]
    likeness = LikenessToPictures.fitted(np.stack([block_features(each, 32).mean(axis=0) for each in sharp]))
    blocks = np.concatenate([block_features(each, 96) for each in sharp])
    window = np.outer(*(2 * [cv2.getGaussianKernel(7, 7 / 6).ravel()]))
    ours, theirs = [], []
    for width in (1, 3, 5, 9):
        picture = np.asarray(cv2.blur(_grey(99, 192, 192), (width, 1)), np.uint8)
        ours.append(likeness.distance(block_features(picture, 32).mean(axis=0)))
        mean, covariance = blocks.mean(axis=0)[None], np.cov(blocks, rowvar=False)
        theirs.append(niqe(picture.astype(np.float64), mean, covariance, window))
    assert ours == sorted(ours)
    assert theirs == sorted(theirs)
