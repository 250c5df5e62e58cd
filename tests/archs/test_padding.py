from __future__ import annotations

import numpy as np
import pytest
import torch

from b2b_basicsr.archs.padding import pad_reflect, pad_to_multiple

picture = torch.arange(12.0).view(1, 1, 3, 4)


def test_reflection_does_not_repeat_the_edge() -> None:
    expected = np.pad(picture.numpy(), ((0, 0), (0, 0), (2, 1), (3, 0)), mode='reflect')
    np.testing.assert_array_equal(pad_reflect(picture, 3, 0, 2, 1).numpy(), expected)


def test_a_side_too_short_for_reflection_is_replicated_and_the_other_still_reflected() -> None:
    sideways = np.pad(picture.numpy(), ((0, 0), (0, 0), (0, 0), (2, 2)), mode='reflect')
    expected = np.pad(sideways, ((0, 0), (0, 0), (0, 3), (0, 0)), mode='edge')
    np.testing.assert_array_equal(pad_reflect(picture, 2, 2, 0, 3).numpy(), expected)


@pytest.mark.parametrize(('size', 'padded'), [((8, 16), (8, 16)), ((9, 15), (16, 16)), ((1, 8), (8, 8))])
def test_to_a_multiple(size: tuple[int, int], padded: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size)
    y = pad_to_multiple(x, 8)
    assert y.shape == (2, 3, *padded)
    assert torch.equal(y[..., : size[0], : size[1]], x)


def test_nothing_to_pad_copies_nothing() -> None:
    assert pad_to_multiple(picture, 1) is picture
