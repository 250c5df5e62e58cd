from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from b2b_basicsr.archs import Restormer
from b2b_basicsr.errors import UserError
from tests.golden_recipe import assert_golden, assert_manifest, fill_weights, golden_input, load_golden

SMALL: dict[str, Any] = {'dim': 8, 'num_blocks': [1, 1, 1, 1], 'num_refinement_blocks': 1}


def small_net(**arguments: Any) -> Restormer:
    return fill_weights(Restormer(**SMALL, **arguments)).eval()


@torch.no_grad()
def test_golden_keys_and_numbers() -> None:
    manifest, arrays = load_golden('restormer')
    net = Restormer(**manifest['kwargs'])
    assert_manifest(net, manifest)
    (expected,) = arrays.values()
    x = golden_input(**manifest['input'])
    restored = fill_weights(net).eval()(x)
    assert_golden(restored, expected)
    assert_golden(restored - x, torch.from_numpy(expected) - x, tolerance=1e-4)


def test_defaults_are_the_published_checkpoints() -> None:
    manifest, _ = load_golden('keys_restormer_default')
    with torch.device('meta'):
        assert_manifest(Restormer(), manifest)


@pytest.mark.parametrize('size', [(64, 64), (61, 94), (7, 5), (1, 1)])
@torch.no_grad()
def test_any_size(size: tuple[int, int]) -> None:
    x = golden_input((2, 3, *size), 0)
    restored = small_net()(x)
    assert restored.shape == x.shape
    assert restored.isfinite().all()


@torch.no_grad()
def test_other_sizes_are_mirrored_at_the_right_and_bottom() -> None:
    net = small_net()
    x = golden_input((1, 3, 37, 50), 0)
    mirrored = torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), (0, 3), (0, 6)), mode='reflect'))
    assert torch.equal(net(x), net(mirrored)[..., :37, :50])


@torch.no_grad()
def test_bias_free_norm_divides_by_the_deviation_and_keeps_the_mean() -> None:
    net = small_net(LayerNorm_type='BiasFree')
    keys = [key for key in net.state_dict() if '.body.' in key and 'norm' in key]
    assert keys
    assert all(key.endswith('weight') for key in keys)
    norm = net.get_submodule('encoder_level1.0.norm1')
    x = golden_input((1, 8, 3, 4), 1) + 2
    weight = norm.get_parameter('body.weight').view(1, -1, 1, 1)
    expected = x / torch.sqrt(x.var(dim=1, keepdim=True, correction=0) + 1e-5) * weight
    torch.testing.assert_close(norm(x), expected)
    assert net(golden_input((1, 3, 16, 16), 0)).isfinite().all()


@torch.no_grad()
def test_each_picture_of_a_batch_by_itself() -> None:
    net = small_net()
    x = golden_input((2, 3, 24, 32), 0)
    together = net(x)
    for index in range(2):
        torch.testing.assert_close(together[index : index + 1], net(x[index : index + 1]), rtol=1e-4, atol=1e-5)


def test_every_weight_gets_a_gradient() -> None:
    net = small_net(bias=True)
    net(golden_input((1, 3, 16, 16), 0)).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'dim': 9}, 'dim must be even'),
        ({'heads': [1, 2, 4]}, 'heads must be a list of 4'),
        ({'num_blocks': 4}, 'num_blocks must be a list of integers'),
        ({'heads': [3, 2, 4, 8]}, r'heads\[0\] must divide dim \* 1, 8'),
        ({'LayerNorm_type': 'None'}, 'LayerNorm_type must be one of WithBias, BiasFree'),
        ({'dual_pixel_task': True}, 'dual_pixel_task is not supported'),
        ({'out_channels': 1}, 'out_channels must be inp_channels'),
        ({'ffn_expansion_factor': 'x'}, 'ffn_expansion_factor must be a number'),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Restormer(**{**SMALL, **arguments})
