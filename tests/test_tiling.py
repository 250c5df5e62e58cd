from __future__ import annotations

import pytest
import torch
from torch import nn

from b2b_basicsr.tiling import apply_tiled


@pytest.mark.parametrize('size', [(50, 70), (64, 64), (20, 130), (33, 32)])
@pytest.mark.parametrize('overlap', [0, 1, 8, 31])
def test_pointwise_function_is_reproduced(size: tuple[int, int], overlap: int) -> None:
    picture = torch.rand(2, 3, *size)
    (doubled, first) = apply_tiled(lambda x: (2 * x, x[:, :1]), picture, tile=32, overlap=overlap)
    torch.testing.assert_close(doubled, 2 * picture)
    torch.testing.assert_close(first, picture[:, :1])


def test_overlap_hides_what_lies_beyond_a_tile() -> None:
    torch.manual_seed(0)
    blur = nn.Conv2d(1, 1, 9, padding=4, padding_mode='zeros', bias=False)
    picture = torch.rand(1, 1, 96, 96)
    with torch.no_grad():
        whole = blur(picture)
        errors = [float((apply_tiled(lambda x: (blur(x),), picture, 48, n)[0] - whole).abs().max()) for n in (0, 8, 24)]
    assert errors[0] > errors[1] > errors[2]


def test_small_picture_is_one_tile() -> None:
    calls = []
    apply_tiled(lambda x: calls.append(x.shape) or (x,), torch.rand(1, 3, 30, 32), tile=32, overlap=8)  # type: ignore[func-returns-value]
    assert calls == [(1, 3, 30, 32)]


def test_tiles_never_exceed_their_size() -> None:
    sides = []
    apply_tiled(lambda x: sides.append(max(x.shape[-2:])) or (x,), torch.rand(1, 1, 100, 77), tile=40, overlap=10)  # type: ignore[func-returns-value]
    assert max(sides) == 40


@pytest.mark.parametrize('overlap', [-1, 32])
def test_overlap_must_fit(overlap: int) -> None:
    with pytest.raises(ValueError, match='less than the tile, 32'):
        apply_tiled(lambda x: (x,), torch.rand(1, 3, 64, 64), tile=32, overlap=overlap)
