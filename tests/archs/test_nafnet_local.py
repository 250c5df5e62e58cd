from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from basicsr.archs import build_network

from b2b_basicsr.archs import NAFNet, NAFNetLocal
from b2b_basicsr.archs.nafnet_local_arch import LocalAvgPool2d
from tests.golden_recipe import assert_golden, assert_manifest, fill_weights, golden_input, load_golden, relative_error

SMALL: dict[str, Any] = {'width': 8, 'middle_blk_num': 1, 'enc_blk_nums': [1, 2], 'dec_blk_nums': [1, 1]}


def test_golden_numbers_with_nafnet_s_keys() -> None:
    manifest, arrays = load_golden('nafnet_local')
    net = NAFNetLocal(**manifest['kwargs'])
    assert_manifest(net, load_golden('nafnet')[0])
    fill_weights(net).eval()
    with torch.no_grad():
        assert_golden(net(golden_input(**manifest['input'])), arrays['full'])


def test_published_checkpoints_load_strictly() -> None:
    manifest, _ = load_golden('keys_nafnet_gopro_width64')
    with torch.device('meta'):
        assert_manifest(NAFNetLocal(**manifest['kwargs']), manifest)


def windowed_mean(x: npt.NDArray[np.float64], window: tuple[int, int]) -> npt.NDArray[np.float64]:
    """By the definition: the window about each pixel, moved inside the picture where it stands out."""
    rows, columns = x.shape[-2:]
    height, width = min(window[0], rows), min(window[1], columns)
    out = np.empty_like(x)
    for row in range(rows):
        top = min(max(row - (height - 1) // 2, 0), rows - height)
        for column in range(columns):
            left = min(max(column - (width - 1) // 2, 0), columns - width)
            out[..., row, column] = x[..., top : top + height, left : left + width].mean(axis=(-2, -1))
    return out


@pytest.mark.parametrize(
    ('size', 'window'),
    [
        ((12, 16), (5, 4)),
        ((13, 11), (4, 7)),
        ((9, 14), (9, 5)),
        ((7, 14), (12, 6)),
        ((14, 7), (6, 12)),
        ((8, 8), (8, 8)),
        ((5, 6), (9, 9)),
        ((6, 5), (1, 1)),
        ((6, 5), (5, 4)),
    ],
)
def test_local_average(size: tuple[int, int], window: tuple[int, int]) -> None:
    x = golden_input((2, 3, *size), 0)
    y = LocalAvgPool2d(window)(x)
    covered = [side >= length for side, length in zip(window, size, strict=True)]
    assert y.shape[-2:] == tuple(1 if whole else length for whole, length in zip(covered, size, strict=True))
    np.testing.assert_allclose(y.expand_as(x).numpy(), windowed_mean(x.double().numpy(), window), atol=1e-6)


def test_window_that_covers_the_layer_is_the_global_average() -> None:
    x = golden_input((2, 3, 9, 7), 0)
    assert torch.equal(LocalAvgPool2d((9, 7))(x), F.adaptive_avg_pool2d(x, 1))


@pytest.mark.parametrize('window', [(3, 4), (7, 3)])
def test_gradient_of_the_local_average(window: tuple[int, int]) -> None:
    x = torch.randn(2, 1, 6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(LocalAvgPool2d(window), (x,))


@pytest.mark.parametrize('offset', [0.0, 30.0])
def test_large_pictures_keep_their_digits(offset: float) -> None:
    x = offset + golden_input((1, 1, 512, 4096), 0)
    # one side after the other: the same mean, 384 times sooner
    expected = F.avg_pool2d(F.avg_pool2d(x.double(), (384, 1), stride=1), (1, 384), stride=1)
    actual = LocalAvgPool2d((384, 384))(x)[..., 191 : 191 + 129, 191 : 191 + 3713]
    assert relative_error(actual, expected) < 2e-7


@pytest.mark.parametrize('autocast', [False, True])
def test_sums_are_float32_for_16_bit_features(autocast: bool) -> None:
    x = (torch.linspace(0, 8, 1024) + golden_input((1, 2, 16, 1024), 0)).bfloat16()
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        y = LocalAvgPool2d((8, 16))(x)
    assert y.dtype == torch.bfloat16
    assert relative_error(y, LocalAvgPool2d((8, 16))(x.double())) < 2**-8


@pytest.mark.parametrize('crop', [(32, 32), (50, 71), (1, 3)])
@torch.no_grad()
def test_windows_are_one_and_a_half_times_the_layers_of_the_training_crop(crop: tuple[int, int]) -> None:
    net = NAFNetLocal(**SMALL, train_size=[4, 3, *crop])
    checked = 0

    def compare(pool: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        nonlocal checked
        checked += 1
        assert isinstance(pool, LocalAvgPool2d)
        assert pool.window == tuple(int(side * 1.5) for side in inputs[0].shape[-2:])

    for _, block in net.blocks_by_level():
        block.sca[0].register_forward_pre_hook(compare)
    net(torch.rand(1, 3, *crop))
    assert checked == 6


@torch.no_grad()
def test_is_nafnet_itself_up_to_one_and_a_half_crops_and_another_beyond() -> None:
    local = NAFNetLocal(**SMALL, train_size=(1, 3, 16, 24)).eval()
    net = fill_weights(NAFNet(**SMALL)).eval()
    local.load_state_dict(net.state_dict(), strict=True)
    near, far = golden_input((2, 3, 24, 36), 0), golden_input((2, 3, 28, 36), 0)
    assert relative_error(local(near), net(near)) < 1e-6
    assert relative_error(local(far), net(far)) > 1e-3


@torch.no_grad()
def test_batch_odd_sizes_layout_and_bf16() -> None:
    net = fill_weights(NAFNetLocal(**SMALL, train_size=(1, 3, 16, 16))).eval()
    x = golden_input((2, 3, 45, 67), 0)
    expected = net(x)
    assert expected.shape == x.shape
    for index in range(2):
        assert relative_error(expected[index : index + 1], net(x[index : index + 1])) < 2e-5
    assert relative_error(net(x.to(memory_format=torch.channels_last)), expected) < 2e-5
    with torch.autocast('cpu', torch.bfloat16):
        assert relative_error(net(x), expected) < 0.02


def test_found_by_basicsr() -> None:
    net = build_network({'type': 'NAFNetLocal', **SMALL, 'train_size': [1, 3, 64, 64]})
    assert isinstance(net, NAFNetLocal)


@pytest.mark.parametrize(
    ('train_size', 'message'),
    [
        ([256, 256], r'train_size must be \[n, c, h, w\]'),
        (256, 'train_size must be a list'),
        ([1, 3, 0, 256], r'train_size\[2\] must be'),
    ],
)
def test_bad_train_size_is_one_clear_line(train_size: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f'^NAFNetLocal: {message}.*$'):
        NAFNetLocal(train_size=train_size)
