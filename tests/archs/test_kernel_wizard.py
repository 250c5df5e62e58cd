from __future__ import annotations

from typing import Any

import pytest
import torch

from b2b_basicsr.archs import KernelWizard
from b2b_basicsr.errors import UserError
from tests.golden_recipe import assert_golden, assert_manifest, fill_weights, golden_input, load_golden

SMALL: dict[str, Any] = {'nf': 8, 'front_RBs': 1, 'back_RBs': 1, 'kernel_dim': 12, 'n_blocks': 1}


def small_net(**arguments: Any) -> KernelWizard:
    return fill_weights(KernelWizard(**SMALL, **arguments)).eval()


def pictures(count: int, *size: int) -> list[torch.Tensor]:
    return [golden_input((2, 3, *size), seed) for seed in range(count)]


@torch.no_grad()
def test_golden_keys_and_numbers() -> None:
    manifest, arrays = load_golden('blur_kernel_encoder')
    net = KernelWizard()
    assert_manifest(net, manifest)
    fill_weights(net).eval()
    sharp, blur, other_sharp = (golden_input(**manifest['inputs'][name]) for name in ('sharp', 'blur', 'other_sharp'))
    kernel, sigma = net.encode(sharp, blur)
    assert_golden(kernel, arrays['kernel'])
    assert not sigma.any()
    reblurred = net.transfer(other_sharp, kernel)
    assert_golden(reblurred, arrays['reblurred'])
    assert_golden(net(sharp, blur, other_sharp), arrays['reblurred'])
    # Not the picture alone, which is added at the end and would hide an error in what is added to it.
    assert_golden(reblurred - other_sharp, torch.from_numpy(arrays['reblurred']) - other_sharp)


@torch.no_grad()
def test_golden_keys_and_numbers_of_the_vae() -> None:
    manifest, arrays = load_golden('blur_kernel_encoder_vae')
    inputs = load_golden('blur_kernel_encoder')[0]['inputs']
    net = KernelWizard(use_vae=True)
    assert_manifest(net, manifest)
    fill_weights(net).eval()
    mean, sigma = net.encode(golden_input(**inputs['sharp']), golden_input(**inputs['blur']))
    assert_golden(mean, arrays['kernel_mean'])
    assert_golden(sigma, arrays['kernel_sigma'])


@pytest.mark.parametrize(
    ('size', 'places'), [((256, 256), (2, 2)), ((300, 257), (3, 3)), ((100, 7), (2, 2)), ((1, 1), (2, 2))]
)
@torch.no_grad()
def test_any_size(size: tuple[int, int], places: tuple[int, int]) -> None:
    net = small_net()
    sharp, blur, other = pictures(3, *size)
    mean, _ = net.encode(sharp, blur)
    assert mean.shape == (2, 12, *places)
    blurred = net(sharp, blur, other)
    assert blurred.shape == other.shape
    assert blurred.isfinite().all()


@torch.no_grad()
def test_other_sizes_are_mirrored_at_the_right_and_bottom() -> None:
    net = small_net()
    sharp, blur = pictures(2, 200, 300)
    mirrored = [torch.nn.functional.pad(picture, (0, 84, 0, 56), mode='reflect') for picture in (sharp, blur)]
    code, expected = net.encode(sharp, blur)[0], net.encode(*mirrored)[0]
    assert torch.equal(code, expected)
    assert torch.equal(net.transfer(sharp, code), net.transfer(mirrored[0], code)[..., :200, :300])


@torch.no_grad()
def test_a_code_of_another_size_keeps_its_places() -> None:
    """A blur that the left of one picture has goes to the left of a picture twice as large."""
    net = small_net()
    sharp, other = golden_input((1, 3, 256, 256), 0), golden_input((1, 3, 512, 512), 1)
    even = torch.zeros(1, 12, 2, 2)
    left = even.clone()
    left[..., 0] = 3.0
    assert net.transfer(sharp, left).shape == sharp.shape
    change = (net.transfer(other, left) - net.transfer(other, even)).abs().mean(dim=(0, 1, 2))
    assert change[:128].mean() > 2 * change[384:].mean()


@torch.no_grad()
def test_reblur_is_encode_and_transfer() -> None:
    net = small_net()
    sharp, blur = pictures(2, 130, 260)
    reblurred, mean, sigma = net.reblur(sharp, blur)
    expected_mean, expected_sigma = net.encode(sharp, blur)
    torch.testing.assert_close(mean, expected_mean)
    torch.testing.assert_close(sigma, expected_sigma)
    torch.testing.assert_close(reblurred, net.transfer(sharp, mean))


def test_reblur_passes_gradients_to_every_weight() -> None:
    net = small_net(use_vae=True).train()
    sharp, blur = pictures(2, 256, 256)
    reblurred, mean, sigma = net.reblur(sharp, blur)
    (reblurred.square().sum() + mean.sum() + sigma.sum()).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_vae_draws_in_training_and_takes_the_mean_in_eval() -> None:
    net = small_net(use_vae=True)
    mean, sigma = torch.full((2, 12, 2, 2), 3.0), torch.full((2, 12, 2, 2), 0.5)
    assert torch.equal(net.sample(mean, sigma), mean)
    net.train()
    drawn = [net.sample(mean, sigma, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn[0], mean + sigma * noise)


def test_code_without_vae_is_never_drawn() -> None:
    net = small_net().train()
    mean = torch.ones(1, 12, 2, 2)
    assert torch.equal(net.sample(mean, torch.ones_like(mean)), mean)


@torch.no_grad()
def test_each_picture_of_a_batch_by_itself() -> None:
    net = small_net()
    sharp, blur, other = pictures(3, 256, 256)
    together = net(sharp, blur, other)
    for index in range(2):
        alone = net(*(picture[index : index + 1] for picture in (sharp, blur, other)))
        torch.testing.assert_close(together[index : index + 1], alone, rtol=1e-4, atol=1e-5)


def test_pair_of_two_shapes_is_refused() -> None:
    net = small_net()
    with pytest.raises(UserError, match=r'one shape, but are \[1, 3, 8, 8\] and \[1, 3, 8, 9\]'):
        net.encode(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 9))
    with pytest.raises(UserError, match='one shape'):
        net.reblur(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 9))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'nf': 0}, 'nf must be an integer of at least 1'),
        ({'kernel_dim': 2.5}, 'kernel_dim must be an integer'),
        ({'front_RBs': -1}, 'front_RBs must be an integer of at least 0'),
        ({'use_vae': 'yes'}, 'use_vae must be true or false'),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        KernelWizard(**arguments)
