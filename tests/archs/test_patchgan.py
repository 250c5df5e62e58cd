from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from b2b_basicsr.archs import PatchGANDiscriminator
from b2b_basicsr.archs.patchgan_arch import HighPass
from b2b_basicsr.errors import UserError
from tests.golden_recipe import assert_golden, assert_manifest, fill_weights, golden_input, load_golden, relative_error

NORMS = ('instance', 'none', 'spectral')


def small_net(**options: Any) -> PatchGANDiscriminator:
    return fill_weights(PatchGANDiscriminator(**{'num_feat': 8, **options}))


def test_golden_keys_and_numbers() -> None:
    manifest, arrays = load_golden('patch_discriminator')
    net = PatchGANDiscriminator(**manifest['kwargs'])
    assert_manifest(net, manifest)
    fill_weights(net).eval()
    with torch.no_grad():
        scores = net([golden_input(**given) for given in manifest['inputs']])
    assert isinstance(scores, list)
    assert len(scores) == 3
    for index, score in enumerate(scores):
        assert_golden(score, arrays[f'scale{index}'])


def test_golden_arguments_are_the_defaults_and_keys_do_not_depend_on_options() -> None:
    manifest, _ = load_golden('patch_discriminator')
    assert_manifest(PatchGANDiscriminator(), manifest)
    assert_manifest(PatchGANDiscriminator(norm='none'), manifest)
    highpass = PatchGANDiscriminator(luma_highpass=17).state_dict()
    assert list(highpass) == list(manifest['state_dict'])
    assert highpass['model.0.weight'].shape == (64, 1, 4, 4)


@torch.no_grad()
def test_tensor_gives_tensor_and_sequence_gives_list() -> None:
    net = small_net()
    pictures = [golden_input((2, 3, 24, 40), 0), golden_input((1, 3, 64, 32), 1)]
    single = [net(picture) for picture in pictures]
    assert all(isinstance(score, torch.Tensor) for score in single)
    for several in (net(pictures), net(tuple(pictures))):
        assert isinstance(several, list)
        assert all(torch.equal(score, alone) for score, alone in zip(several, single, strict=True))
    assert net([]) == []


@torch.no_grad()
def test_each_picture_of_a_batch_by_itself() -> None:
    net = small_net()
    x = golden_input((3, 3, 32, 40), 0)
    scores = net(x)
    for index in range(3):
        assert relative_error(scores[index : index + 1], net(x[index : index + 1])) < 2e-5


@pytest.mark.parametrize('norm', NORMS)
@pytest.mark.parametrize(('n_layers', 'smallest', 'widths'), [(1, 6, [8, 16]), (2, 12, [8, 16, 32]), (5, 96, [])])
@torch.no_grad()
def test_smallest_side(norm: str, n_layers: int, smallest: int, widths: list[int]) -> None:
    net = small_net(norm=norm, n_layers=n_layers)
    convs = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    assert [conv.stride[0] for conv in convs] == [2] * n_layers + [1, 1]
    assert [conv.out_channels for conv in convs] == [*(widths or [8, 16, 32, 64, 64, 64]), 1]

    assert net(golden_input((1, 3, smallest, smallest), 0)).shape == (1, 1, 1, 1)
    assert net(golden_input((1, 3, 4 * smallest, 2 * smallest), 0)).shape == (1, 1, 10, 4)
    for size in ((smallest - 1, 2 * smallest), (2 * smallest, smallest - 1)):
        with pytest.raises(ValueError, match=f'at least {smallest};'):
            net(golden_input((1, 3, *size), 0))


def test_another_number_of_channels_is_named() -> None:
    with pytest.raises(ValueError, match=r'4 channels, but num_in_ch is 3'):
        small_net()(torch.rand(1, 4, 32, 32))


@pytest.mark.parametrize('luma_highpass', [None, 9])
@pytest.mark.parametrize('norm', NORMS)
def test_second_derivatives(norm: str, luma_highpass: int | None) -> None:
    """A gradient penalty's own gradient, against finite differences."""
    net = small_net(num_feat=2, n_layers=1, norm=norm, luma_highpass=luma_highpass).double()
    net.eval()  # the power iteration of the spectral norm would change the weights from call to call
    x = golden_input((2, 3, 10, 12), 0).double().requires_grad_()

    def penalty() -> torch.Tensor:
        (gradient,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        return (gradient.flatten(1).norm(dim=1) - 1).square().mean()

    weight = dict(net.named_parameters())[
        'model.2.parametrizations.weight.original' if norm == 'spectral' else 'model.2.weight'
    ]
    (actual,) = torch.autograd.grad(penalty(), weight)
    assert actual.abs().max() > 0
    index = np.unravel_index(int(actual.abs().argmax()), tuple(actual.shape))
    with torch.no_grad():
        weight[index] += 1e-5
    above = penalty().item()
    with torch.no_grad():
        weight[index] -= 2e-5
    below = penalty().item()
    assert actual[index].item() == pytest.approx((above - below) / 2e-5, rel=1e-4)


def test_spectral_keys_and_norm() -> None:
    torch.manual_seed(0)
    net = PatchGANDiscriminator(num_feat=8, norm='spectral')
    keys = list(net.state_dict())
    for index in (0, 2, 5, 8, 11):
        assert f'model.{index}.bias' in keys
        assert f'model.{index}.parametrizations.weight.original' in keys
        assert f'model.{index}.parametrizations.weight.0._u' in keys
    x = golden_input((1, 3, 24, 24), 0)
    with torch.no_grad():
        for key, parameter in net.named_parameters():
            if key.endswith('original'):
                parameter.mul_(10)
        for _ in range(30):
            net(x)
    net.eval()
    for index in (0, 2, 5, 8, 11):
        weight = net.get_submodule(f'model.{index}').weight
        assert isinstance(weight, torch.Tensor)
        assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1, abs=0.1)


def test_a_list_can_be_learnt_from_in_one_step_with_spectral_norm() -> None:
    """The power iteration of the second picture must not spoil the graph of the first."""
    net = PatchGANDiscriminator(num_feat=8, norm='spectral').train()
    scores = net([golden_input((1, 3, 32, 32), 0), golden_input((1, 3, 64, 64), 1)])
    torch.stack([score.mean() for score in scores]).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize('size', [(12, 15), (5, 9), (3, 4)])
def test_highpass_is_luminance_less_its_box_mean(size: tuple[int, int]) -> None:
    x = golden_input((2, 3, *size), 0).double()
    luma = (0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2]).numpy()
    reach = 4
    padded = luma
    for axis in (2, 1):  # the sides one after the other, for each may need another kind of border
        pad = [(0, 0), (0, 0), (0, 0)]
        pad[axis] = (reach, reach)
        padded = np.pad(padded, pad, mode='reflect' if luma.shape[axis] > reach else 'edge')
    expected = np.empty_like(luma)
    for row in range(size[0]):
        for column in range(size[1]):
            expected[:, row, column] = padded[:, row : row + 9, column : column + 9].mean(axis=(1, 2))
    np.testing.assert_allclose(HighPass(9, luma=True)(x)[:, 0].numpy(), 4 * (luma - expected), atol=4e-7)


@torch.no_grad()
def test_highpass_hides_exposure_and_colour_but_not_detail() -> None:
    net = small_net(n_layers=1, norm='none', luma_highpass=17)
    plain = small_net(n_layers=1, norm='none')
    x = 0.2 + 0.5 * golden_input((1, 3, 40, 40), 0)
    brighter = x + 0.1
    # more red and less green at the same luminance
    tinted = x + torch.tensor([0.1, -0.1 * 0.299 / 0.587, 0.0]).view(1, 3, 1, 1)
    blurred = nn.functional.avg_pool2d(nn.functional.pad(x, (1, 1, 1, 1), mode='reflect'), 3, stride=1)
    for other in (brighter, tinted):
        assert relative_error(net(other), net(x)) < 1e-4
        assert relative_error(plain(other), plain(x)) > 1e-2
    assert relative_error(net(blurred), net(x)) > 0.1


@torch.no_grad()
def test_highpass_of_all_channels_shows_coloured_detail_but_not_colour() -> None:
    of_luma, of_all = (small_net(n_layers=1, norm='none', **{key: 17}) for key in ('luma_highpass', 'highpass'))
    x = 0.2 + 0.5 * golden_input((1, 3, 40, 40), 0)
    tinted = x + torch.tensor([0.1, -0.1, 0.05]).view(1, 3, 1, 1)
    fringe = 0.1 * torch.sin(torch.arange(40.0)).view(1, 1, 1, 40)
    fringed = x + fringe * torch.tensor([1.0, -0.299 / 0.587, 0.0]).view(1, 3, 1, 1)  # of no luminance
    assert relative_error(of_all(tinted), of_all(x)) < 1e-4
    assert relative_error(of_all(fringed), of_all(x)) > 1e-2
    assert relative_error(of_luma(fringed), of_luma(x)) < 1e-4
    grey = x.mean(1, keepdim=True)
    torch.testing.assert_close(HighPass(9, luma=False)(grey), HighPass(9, luma=True)(grey))


def test_one_kind_of_highpass_at_a_time() -> None:
    with pytest.raises(UserError, match='luma_highpass and highpass cannot go together'):
        small_net(luma_highpass=5, highpass=5)
    with pytest.raises(UserError, match='highpass must be odd'):
        small_net(highpass=6)


def test_highpass_takes_a_luminance_picture_as_it_is() -> None:
    grey = golden_input((1, 1, 32, 32), 0)
    torch.testing.assert_close(HighPass(5, luma=True)(grey), HighPass(5, luma=True)(grey.expand(1, 3, 32, 32)))
    assert small_net(num_in_ch=1, luma_highpass=5)(grey).shape == (1, 1, 2, 2)


@torch.no_grad()
def test_highpass_keeps_float32_under_autocast_and_the_dtype_it_is_given() -> None:
    highpass = HighPass(9, luma=True)
    x = golden_input((1, 3, 32, 32), 0)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(highpass(x), highpass(x))
        assert highpass(x).dtype == torch.float32
    coarse = highpass.bfloat16()(x.bfloat16())
    assert coarse.dtype == torch.bfloat16
    assert relative_error(coarse, highpass.float()(x.bfloat16().float())) < 2**-7


@pytest.mark.parametrize('norm', NORMS)
@torch.no_grad()
def test_channels_last_and_bf16(norm: str) -> None:
    net = small_net(norm=norm, luma_highpass=17).eval()
    x = golden_input((2, 3, 64, 48), 0)
    expected = net(x)
    with torch.autocast('cpu', torch.bfloat16):
        assert relative_error(net(x), expected) < 0.05
    net.to(memory_format=torch.channels_last)
    assert relative_error(net(x.to(memory_format=torch.channels_last)), expected) < 1e-4


@pytest.mark.parametrize(
    ('arguments', 'option'),
    [
        ({'norm': 'batch'}, 'norm'),
        ({'n_layers': 0}, 'n_layers'),
        ({'num_feat': 0}, 'num_feat'),
        ({'num_in_ch': 0}, 'num_in_ch'),
        ({'luma_highpass': 16}, 'luma_highpass'),
        ({'luma_highpass': 1}, 'luma_highpass'),
        ({'luma_highpass': 17, 'num_in_ch': 4}, 'luma_highpass'),
    ],
)
def test_bad_arguments_are_one_clear_line(arguments: dict[str, Any], option: str) -> None:
    with pytest.raises(ValueError, match=f'^PatchGANDiscriminator: {option} .*$') as caught:
        PatchGANDiscriminator(**arguments)
    assert '\n' not in str(caught.value)


def test_none_is_no_norm() -> None:
    """BasicSR's ``--force_yml network_d:norm=none`` gives ``None``."""
    torch.manual_seed(0)
    first = small_net(norm='none')
    torch.manual_seed(0)
    second = small_net(norm=None)
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(first(x), second(x))
