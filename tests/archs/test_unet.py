from __future__ import annotations

from typing import Any

import pytest
import torch
from basicsr.archs import build_network
from basicsr.utils.registry import ARCH_REGISTRY

from b2b_basicsr.archs import UNet
from b2b_basicsr.archs.padding import pad_to_multiple
from tests.golden_recipe import golden_input, relative_error

SMALL: dict[str, Any] = {'num_feat': 4, 'num_levels': 2}
NORMS = (None, 'instance', 'batch')


def small_net(norm: Any = None) -> UNet:
    torch.manual_seed(0)
    return UNet(**SMALL, norm=norm).eval()


def test_shape_of_the_papers() -> None:
    with torch.device('meta'):
        net = UNet()
        deepest: list[tuple[int, ...]] = []
        net.middle.register_forward_hook(lambda _, __, features: deepest.append(tuple(features.shape)))
        assert net(torch.empty(2, 3, 64, 96)).shape == (2, 3, 64, 96)
    assert deepest == [(2, 1024, 4, 6)]
    # 23 convolutions, as the paper counts them.
    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    assert sum(isinstance(module, kinds) for module in net.modules()) == 23
    assert sum(parameter.numel() for parameter in net.parameters()) == 31_031_875


@pytest.mark.parametrize('norm', NORMS)
@pytest.mark.parametrize('size', [(16, 24), (17, 23), (3, 5), (1, 1)])
@torch.no_grad()
def test_any_size_is_continued_by_its_mirror_image(size: tuple[int, int], norm: str | None) -> None:
    net = small_net(norm)
    x = golden_input((2, 3, *size), 0)
    y = net(x)
    assert y.shape == x.shape
    assert torch.isfinite(y).all()
    if norm is None:
        padded = pad_to_multiple(x, 4)
        assert relative_error(y, net(padded)[..., : size[0], : size[1]]) < 1e-6


@pytest.mark.parametrize('norm', ['instance', 'batch'])
def test_smallest_picture_can_be_trained_on_with_a_norm(norm: Any) -> None:
    net = UNet(**SMALL, norm=norm).train()
    net(torch.rand(1, 3, 4, 4)).sum().backward()


@torch.no_grad()
def test_skips_carry_detail_around_the_middle() -> None:
    """With the middle's features nought, every pixel's neighbours still count."""
    net = small_net()
    for up in net.ups:
        assert isinstance(up, torch.nn.ConvTranspose2d)
        assert up.bias is not None
        up.weight.zero_()
        up.bias.zero_()
    x = golden_input((1, 3, 16, 16), 0)
    changed = x.clone()
    changed[..., 8, 8] += 0.1
    difference = (net(changed) - net(x)).abs().amax(1)[0]
    assert difference[9, 9] > 0
    assert difference[:3].max() == 0


def test_gradient_reaches_every_parameter_and_the_input() -> None:
    net = small_net()
    x = golden_input((1, 3, 18, 22), 0).requires_grad_()
    net(x).square().mean().backward()
    for tensor in (x, *net.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.abs().max() > 0


@torch.no_grad()
def test_each_picture_of_a_batch_by_itself() -> None:
    net = small_net('instance')
    x = golden_input((3, 3, 18, 22), 0)
    together = net(x)
    for index in range(3):
        assert relative_error(together[index : index + 1], net(x[index : index + 1])) < 2e-5


@torch.no_grad()
def test_channels_last_gives_the_same() -> None:
    net = small_net()
    x = golden_input((2, 3, 32, 40), 0)
    expected = net(x)
    net.to(memory_format=torch.channels_last)
    assert relative_error(net(x.to(memory_format=torch.channels_last)), expected) < 1e-5


@pytest.mark.parametrize('norm', NORMS)
def test_starts_as_identity_and_learns(norm: Any) -> None:
    net = UNet(**SMALL, norm=norm)
    net.start_as_identity()
    x = torch.rand(1, 3, 13, 16)
    y = net(x)
    assert torch.equal(y, x)
    y.square().mean().backward()
    assert net.ending.weight.grad is not None
    assert net.ending.weight.grad.abs().sum() > 0


def test_registered_under_the_suffix_that_basicsr_falls_back_to() -> None:
    assert ARCH_REGISTRY.get('UNet_basicsr') is UNet
    assert 'UNet' not in ARCH_REGISTRY
    assert isinstance(build_network({'type': 'UNet', **SMALL}), UNet)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'num_in_ch': 0}, 'num_in_ch must be'),
        ({'num_feat': 1.5}, 'num_feat must be'),
        ({'num_levels': 0}, 'num_levels must be'),
        ({'norm': 'layer'}, "norm must be one of instance, batch, or ~ for none, but is 'layer'"),
    ],
)
def test_bad_arguments_are_one_clear_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f'^UNet: {message}.*$') as caught:
        UNet(**arguments)
    assert '\n' not in str(caught.value)
