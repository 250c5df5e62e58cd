from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from b2b_basicsr.archs import MIMOUNet, MIMOUNetPlus
from tests.golden_recipe import assert_golden, assert_manifest, fill_weights, golden_input, load_golden, relative_error


def small_net() -> MIMOUNet:
    return fill_weights(MIMOUNet(num_res=1, base_channel=8)).eval()


@pytest.mark.parametrize(('name', 'arch'), [('mimounet', MIMOUNet), ('mimounet_plus', MIMOUNetPlus)])
def test_golden_keys_and_numbers(name: str, arch: type[MIMOUNet]) -> None:
    manifest, arrays = load_golden(name)
    net = arch(**manifest['kwargs'])
    assert_manifest(net, manifest)
    fill_weights(net).eval()
    with torch.no_grad():
        outputs = net(golden_input(**manifest['input']))
    assert len(outputs) == 3
    for output, scale in zip(outputs, ('quarter', 'half', 'full'), strict=True):
        assert_golden(output, arrays[scale])


@pytest.mark.parametrize('name', ['mimounet', 'mimounet_plus'])
def test_golden_arguments_are_the_defaults(name: str) -> None:
    manifest, _ = load_golden(name)
    with torch.device('meta'):
        assert_manifest({'mimounet': MIMOUNet, 'mimounet_plus': MIMOUNetPlus}[name](), manifest)


@pytest.mark.parametrize('size', [(64, 64), (61, 94), (5, 7), (4, 3), (3, 2), (2, 1), (1, 1)])
@torch.no_grad()
def test_any_size(size: tuple[int, int]) -> None:
    outputs = small_net()(golden_input((2, 3, *size), 0))
    for output, divisor in zip(outputs, (4, 2, 1), strict=True):
        assert output.shape == (2, 3, *(int(np.ceil(side / divisor)) for side in size))
        assert output.isfinite().all()


@torch.no_grad()
def test_other_sizes_are_mirrored_at_the_right_and_bottom() -> None:
    net = small_net()
    x = golden_input((1, 3, 37, 50), 0)
    mirrored = torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), (0, 3), (0, 2)), mode='reflect'))
    quarter, half, full = net(mirrored)
    for actual, expected in zip(net(x), (quarter, half[..., :19, :25], full[..., :37, :50]), strict=True):
        assert torch.equal(actual, expected)


@torch.no_grad()
def test_each_picture_of_a_batch_by_itself() -> None:
    net = small_net()
    x = golden_input((3, 3, 24, 32), 0)
    together = net(x)
    for index in range(3):
        for whole, single in zip(together, net(x[index : index + 1]), strict=True):
            assert relative_error(whole[index : index + 1], single) < 2e-5


@torch.no_grad()
def test_outputs_are_added_to_the_downsampled_input() -> None:
    net = small_net()
    for conv in (net.ConvsOut[0], net.ConvsOut[1], net.feat_extract[5]):
        for parameter in conv.parameters():
            parameter.zero_()
    x = golden_input((1, 3, 16, 24), 0)
    quarter, half, full = net(x)
    assert torch.equal(quarter, x[..., ::4, ::4])
    assert torch.equal(half, x[..., ::2, ::2])
    assert torch.equal(full, x)


def test_gradient_reaches_every_parameter_and_the_input() -> None:
    net = small_net().train()
    x = golden_input((1, 3, 18, 22), 0).requires_grad_()
    torch.stack([output.square().mean() for output in net(x)]).sum().backward()
    for tensor in (x, *net.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.abs().max() > 0


@torch.no_grad()
def test_channels_last_and_bf16() -> None:
    net = small_net()
    x = golden_input((2, 3, 32, 40), 0)
    expected = net(x)
    with torch.autocast('cpu', torch.bfloat16):
        rounded = net(x)
    net.to(memory_format=torch.channels_last)
    rearranged = net(x.to(memory_format=torch.channels_last))
    for reference, other, coarse in zip(expected, rearranged, rounded, strict=True):
        assert relative_error(other, reference) < 1e-4
        assert relative_error(coarse, reference) < 0.1


def fused_features(net: MIMOUNet, x: torch.Tensor) -> list[torch.Tensor]:
    """What the two decoder stages are given beside the enlarged features: half size, full size."""
    seen: list[torch.Tensor] = []

    def keep(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen.append(inputs[0][:, inputs[0].shape[1] // 2 :])

    handles = [conv.register_forward_pre_hook(keep) for conv in net.Convs]
    with torch.no_grad():
        net(x)
    for handle in handles:
        handle.remove()
    return seen


def test_plus_drops_whole_fused_channels_in_training_only() -> None:
    net = fill_weights(MIMOUNetPlus(num_res=1, base_channel=16, drop=0.25))
    x = golden_input((2, 3, 16, 16), 0)
    expected = fused_features(net.eval(), x)
    for kept, again in zip(expected, fused_features(net.eval(), x), strict=True):
        assert torch.equal(kept, again)

    torch.manual_seed(0)
    for trained, whole in zip(fused_features(net.train(), x), expected, strict=True):
        dropped = (trained == 0).flatten(2).all(dim=2)
        assert 0 < dropped.sum() < dropped.numel() / 2
        torch.testing.assert_close(trained[~dropped], whole[~dropped] / 0.75)


def test_no_dropout_without_plus() -> None:
    x = golden_input((1, 3, 16, 16), 0)
    for net in (small_net(), fill_weights(MIMOUNetPlus(num_res=1, base_channel=8, drop=0))):
        for trained, kept in zip(net.train()(x), net.eval()(x), strict=True):
            assert torch.equal(trained, kept)


@pytest.mark.parametrize(
    ('arguments', 'option'),
    [
        ({'num_res': 0}, 'num_res'),
        ({'num_res': 2.0}, 'num_res'),
        ({'num_res': True}, 'num_res'),
        ({'base_channel': 0}, 'base_channel'),
        ({'base_channel': 31}, 'base_channel'),
        ({'drop': 1.0}, 'drop'),
        ({'drop': -0.1}, 'drop'),
        ({'drop': '0.1'}, 'drop'),
        ({'drop': float('nan')}, 'drop'),
    ],
)
def test_bad_arguments_are_one_clear_line(arguments: dict[str, Any], option: str) -> None:
    with pytest.raises(ValueError, match=f'^MIMOUNetPlus: {option} must be .*$') as caught:
        MIMOUNetPlus(**arguments)
    assert '\n' not in str(caught.value)


def test_starts_as_identity_at_three_sizes() -> None:
    net = MIMOUNet(num_res=1, base_channel=4)
    net.start_as_identity()
    x = torch.rand(1, 3, 16, 24)
    quarter, half, full = net(x)
    assert torch.equal(full, x)
    assert torch.equal(half, x[..., ::2, ::2])
    assert torch.equal(quarter, x[..., ::4, ::4])
