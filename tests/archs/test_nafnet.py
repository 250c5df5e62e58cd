from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import pytest
import torch
from basicsr.archs import build_network
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

from b2b_basicsr.archs import NAFNet, nafnet_arch
from b2b_basicsr.archs.nafnet_arch import LayerNorm2d
from tests.golden_recipe import assert_golden, assert_manifest, fill_weights, golden_input, load_golden, relative_error

SMALL: dict[str, Any] = {'width': 8, 'middle_blk_num': 1, 'enc_blk_nums': [1, 2], 'dec_blk_nums': [1, 1]}


def small_net() -> NAFNet:
    return fill_weights(NAFNet(**SMALL)).eval()


def test_golden_keys_and_numbers() -> None:
    manifest, arrays = load_golden('nafnet')
    net = NAFNet(**manifest['kwargs'])
    assert_manifest(net, manifest)
    fill_weights(net).eval()
    with torch.no_grad():
        assert_golden(net(golden_input(**manifest['input'])), arrays['full'])


@pytest.mark.parametrize('name', ['keys_nafnet_gopro_width32', 'keys_nafnet_gopro_width64'])
def test_published_checkpoints_load_strictly(name: str) -> None:
    manifest, _ = load_golden(name)
    checkpoint = {key: torch.empty(shape, device='meta') for key, shape in manifest['state_dict'].items()}
    with torch.device('meta'):
        net = NAFNet(**manifest['kwargs'])
    assert_manifest(net, manifest)
    net.load_state_dict(checkpoint, strict=True, assign=True)


@pytest.mark.parametrize('size', [(16, 24), (17, 23), (3, 5), (1, 1)])
@torch.no_grad()
def test_other_sizes_are_continued_by_zeros(size: tuple[int, int]) -> None:
    net = small_net()
    x = golden_input((2, 3, *size), 0)
    padded = torch.zeros(2, 3, 24, 24)
    padded = padded[..., : -(-size[0] // 4) * 4, : -(-size[1] // 4) * 4]
    padded[..., : size[0], : size[1]] = x
    y = net(x)
    assert y.shape == x.shape
    assert relative_error(y, net(padded)[..., : size[0], : size[1]]) < 1e-6


@torch.no_grad()
def test_each_picture_of_a_batch_by_itself() -> None:
    net = small_net()
    x = golden_input((3, 3, 18, 22), 0)
    together = net(x)
    for index in range(3):
        assert relative_error(together[index : index + 1], net(x[index : index + 1])) < 2e-5


@torch.no_grad()
def test_a_fresh_block_is_the_identity() -> None:
    block = NAFNet(**SMALL).middle_blks[0]
    x = torch.randn(2, 32, 6, 6)
    assert torch.equal(block(x), x)


@torch.no_grad()
def test_without_levels() -> None:
    net = fill_weights(NAFNet(width=4, middle_blk_num=2))
    assert net(golden_input((1, 3, 7, 9), 0)).shape == (1, 3, 7, 9)


def test_gradient_reaches_every_parameter_and_the_input() -> None:
    net = small_net()
    x = golden_input((1, 3, 18, 22), 0).requires_grad_()
    net(x).square().mean().backward()
    for tensor in (x, *net.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.abs().max() > 0


@torch.no_grad()
def test_channels_last_gives_the_same_in_the_layout_of_the_input() -> None:
    net = small_net()
    x = golden_input((2, 3, 32, 40), 0)
    expected = net(x)
    assert expected.is_contiguous()
    net.to(memory_format=torch.channels_last)
    rearranged = net(x.to(memory_format=torch.channels_last))
    assert rearranged.is_contiguous(memory_format=torch.channels_last)
    assert relative_error(rearranged, expected) < 1e-5


def test_learns_under_bf16_autocast() -> None:
    net = small_net()
    x = golden_input((2, 3, 32, 40), 0)
    expected = net(x)
    with torch.autocast('cpu', torch.bfloat16):
        actual = net(x)
    assert relative_error(actual, expected) < 0.02
    actual.float().square().mean().backward()
    gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
    net.zero_grad()
    expected.square().mean().backward()
    for name, parameter in net.named_parameters():
        gradient = gradients[name]
        assert gradient is not None
        assert parameter.grad is not None
        assert nn.functional.cosine_similarity(gradient.flatten(), parameter.grad.flatten(), dim=0) > 0.98, name


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_layer_norm_and_its_gradient(layout: torch.memory_format) -> None:
    norm = fill_weights(LayerNorm2d(6)).double()
    x = torch.randn(2, 6, 3, 2, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    mean = x.mean(dim=1, keepdim=True)
    spread = (x - mean).square().mean(dim=1, keepdim=True).add(1e-6).sqrt()
    expected = (x - mean) / spread * norm.weight.view(1, 6, 1, 1) + norm.bias.view(1, 6, 1, 1)
    torch.testing.assert_close(norm(x), expected)
    assert torch.autograd.gradcheck(norm, (x,))


@torch.no_grad()
def test_layer_norm_of_bf16_features_with_a_large_mean() -> None:
    """Squares of the features, or their mean in 16 bits, would drown the spread."""
    norm = LayerNorm2d(64)
    x = (300 + 2 * torch.randint(-8, 9, (1, 64, 8, 8), generator=torch.Generator().manual_seed(0))).bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        actual = norm(x)
    assert relative_error(actual, norm.double()(x.double())) < 2**-7


class HostNAFNet(nn.Module):
    """A host's own network of the same name."""


HostNAFNet.__name__ = 'NAFNet'


def import_afresh() -> ModuleType:
    """What the first import of the module does, in the registry as it now is."""
    spec = importlib.util.spec_from_file_location('nafnet_arch_again', nafnet_arch.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_registered_under_the_suffix_that_basicsr_falls_back_to() -> None:
    assert ARCH_REGISTRY.get('NAFNet_basicsr') is NAFNet
    assert 'NAFNet' not in ARCH_REGISTRY
    assert isinstance(build_network({'type': 'NAFNet', **SMALL}), NAFNet)


@pytest.mark.parametrize('host_first', [True, False])
def test_a_host_s_own_nafnet_wins_in_either_order(host_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ARCH_REGISTRY, '_obj_map', {})
    if host_first:
        ARCH_REGISTRY.register(HostNAFNet)
    ours = import_afresh()
    assert ARCH_REGISTRY.get('NAFNet') is (HostNAFNet if host_first else ours.NAFNet)
    if not host_first:
        ARCH_REGISTRY.register(HostNAFNet)
    assert ARCH_REGISTRY.get('NAFNet') is HostNAFNet
    assert ARCH_REGISTRY.get('NAFNet_basicsr') is ours.NAFNet


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'width': 0}, 'width must be'),
        ({'img_channel': 0}, 'img_channel must be'),
        ({'middle_blk_num': -1}, 'middle_blk_num must be'),
        ({'enc_blk_nums': [1, 1], 'dec_blk_nums': [1]}, 'enc_blk_nums and dec_blk_nums must be equally long'),
        ({'enc_blk_nums': 2, 'dec_blk_nums': [1, 1]}, 'enc_blk_nums must be a list'),
        ({'enc_blk_nums': '11', 'dec_blk_nums': [1, 1]}, 'enc_blk_nums must be a list'),
        ({'enc_blk_nums': [1, 1], 'dec_blk_nums': [1, -1]}, r'dec_blk_nums\[1\] must be'),
    ],
)
def test_bad_arguments_are_one_clear_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f'^NAFNet: {message}.*$') as caught:
        NAFNet(**arguments)
    assert '\n' not in str(caught.value)


def test_starts_as_identity_and_learns() -> None:
    net = NAFNet(width=4, enc_blk_nums=[1], dec_blk_nums=[1])
    net.start_as_identity()
    x = torch.rand(1, 3, 13, 16)
    y = net(x)
    assert torch.equal(y, x)
    y.square().mean().backward()
    assert net.ending.weight.grad is not None
    assert net.ending.weight.grad.abs().sum() > 0
