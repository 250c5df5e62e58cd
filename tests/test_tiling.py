from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from b2b_basicsr.tiling import ALIGNMENT, apply_tiled, tile_starts, tiled_bands


@pytest.mark.parametrize('size', [(50, 70), (64, 64), (20, 130), (33, 320), (321, 97)])
@pytest.mark.parametrize('overlap', [0, 1, 8, 32])
@pytest.mark.parametrize('tile', [64, 96])
def test_pointwise_function_is_reproduced(size: tuple[int, int], overlap: int, tile: int) -> None:
    picture = torch.rand(2, 3, *size)
    (doubled, first) = apply_tiled(lambda x: (2 * x, x[:, :1]), picture, tile, overlap)
    torch.testing.assert_close(doubled, 2 * picture)
    torch.testing.assert_close(first, picture[:, :1])


def test_overlap_hides_what_lies_beyond_a_tile() -> None:
    torch.manual_seed(0)
    blur = nn.Conv2d(1, 1, 33, padding=16, padding_mode='zeros', bias=False)
    picture = torch.rand(1, 1, 192, 192)
    with torch.no_grad():
        whole = blur(picture)
        errors = [
            float((apply_tiled(lambda x: (blur(x),), picture, 128, n)[0] - whole).abs().max()) for n in (0, 32, 64)
        ]
    # From 64 pixels on, the quarter at a tile's edge that is left out is what the kernel sees the edge in.
    assert errors[0] > errors[1] > 100 * errors[2]
    assert errors[2] < 1e-5


def test_network_that_halves_sees_the_same_grid() -> None:
    """Tiles that began anywhere would be halved at other pixels than the whole."""

    def halve_and_double(x: Tensor) -> tuple[Tensor, ...]:
        small = x[..., ::ALIGNMENT, ::ALIGNMENT]
        large = small.repeat_interleave(ALIGNMENT, -1).repeat_interleave(ALIGNMENT, -2)
        return (large[..., : x.shape[-2], : x.shape[-1]],)

    picture = torch.rand(1, 1, 150, 239)
    (tiled,) = apply_tiled(halve_and_double, picture, 96, 20)
    torch.testing.assert_close(tiled, halve_and_double(picture)[0])


def test_small_picture_is_one_tile() -> None:
    calls = []
    apply_tiled(lambda x: calls.append(x.shape) or (x,), torch.rand(1, 3, 30, 64), tile=64, overlap=8)  # type: ignore[func-returns-value]
    assert calls == [(1, 3, 30, 64)]


@pytest.mark.parametrize('tile', [64, 70, 95])
def test_tiles_never_exceed_their_size(tile: int) -> None:
    sides = []
    apply_tiled(lambda x: sides.append(max(x.shape[-2:])) or (x,), torch.rand(1, 1, 200, 177), tile, overlap=10)  # type: ignore[func-returns-value]
    assert max(sides) == 64


@pytest.mark.parametrize('overlap', [-1, 33])
def test_overlap_must_fit(overlap: int) -> None:
    with pytest.raises(ValueError, match='less than the tile, 64'):
        apply_tiled(lambda x: (x,), torch.rand(1, 3, 64, 64), tile=64, overlap=overlap)


def test_tile_must_hold_something() -> None:
    with pytest.raises(ValueError, match='at least 32 pixels'):
        tile_starts(100, tile=31, overlap=0)


@pytest.mark.parametrize('length', [1, 63, 64, 65, 200, 255, 256, 257])
@pytest.mark.parametrize('overlap', [0, 31, 32])
def test_tiles_cover_the_side_and_share_enough(length: int, overlap: int) -> None:
    starts = tile_starts(length, 64, overlap)
    assert starts[0] == 0
    assert starts[-1] < length <= starts[-1] + 64
    assert all(0 < after - before <= 64 - overlap for before, after in pairwise(starts))


def test_only_a_band_is_read_at_a_time() -> None:
    picture = torch.rand(1, 3, 300, 100)
    read: list[int] = []

    def rows(top: int, end: int) -> Tensor:
        read.append(end - top)
        return picture[..., top:end, :]

    bands = list(tiled_bands(lambda x: (x, x + 1), rows, 300, 100, tile=64, overlap=32))
    assert max(read) == 64
    assert [top for top, _ in bands] == tile_starts(300, 64, 32)
    for place, expected in enumerate((picture, picture + 1)):
        torch.testing.assert_close(torch.cat([results[place] for _, results in bands], dim=-2), expected)


@pytest.mark.parametrize('size', [(150, 320), (64, 97), (40, 30), (97, 500)])
@pytest.mark.parametrize('batch', [2, 3, 100])
def test_tiles_in_batches_give_what_tiles_one_by_one_give(size: tuple[int, int], batch: int) -> None:
    picture = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    seen: list[tuple[int, ...]] = []

    def function(x: Tensor) -> tuple[Tensor, ...]:
        seen.append(tuple(x.shape))
        return 2 * x, x[:, :1] - x.flatten(1).mean(1).reshape(-1, 1, 1, 1)  # a tile's own mean: none may be mixed up

    one_by_one = apply_tiled(function, picture, 64, 16)
    tiles = [shape[-2:] for shape in seen]
    seen.clear()
    bands = tiled_bands(function, lambda top, end: picture[..., top:end, :], *size, 64, 16, batch)
    in_batches = [torch.cat(rows, dim=-2) for rows in zip(*(results for _, results in bands), strict=True)]
    for one, other in zip(one_by_one, in_batches, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    assert torch.equal(one_by_one[0], in_batches[0])
    assert max(shape[0] for shape in seen) <= 2 * batch
    assert sorted(tiles) == sorted(shape[-2:] for shape in seen for _ in range(shape[0] // 2))
    assert size[1] < 128 or len(seen) < len(tiles)


def test_a_batch_must_hold_something() -> None:
    with pytest.raises(ValueError, match='batch is 0; it must be at least 1'):
        next(tiled_bands(lambda x: (x,), lambda top, end: torch.rand(1, 3, end - top, 64), 100, 64, 64, 8, batch=0))
