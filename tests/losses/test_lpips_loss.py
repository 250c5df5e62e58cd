from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import lpips
import pytest
import torch
from basicsr.losses import build_loss

from b2b_basicsr.errors import UserError
from b2b_basicsr.losses import LPIPSLoss
from b2b_basicsr.losses.lpips_network import SMALLEST_SIDE, lpips_network
from tests.golden_recipe import golden_input
from tests.torch_hub import ALEXNET

VGG16 = 'vgg16-397923af.pth'


@pytest.mark.parametrize('net', ['alex', 'squeeze'])
def test_the_lpips_package_says_the_same(net: str, torch_home: Path) -> None:
    with pytest.warns(UserWarning, match='pretrained'):
        theirs = lpips.LPIPS(net=net, verbose=False)
    pred, target = golden_input((2, 3, 45, 64), 0), golden_input((2, 3, 45, 64), 1)
    loss = build_loss({'type': 'LPIPSLoss', 'net': net, 'loss_weight': 0.5})
    expected = 0.5 * theirs(2 * pred - 1, 2 * target - 1).mean()
    assert expected.item() > 0
    assert loss(pred, target).item() == pytest.approx(expected.item(), rel=1e-5)
    assert loss(pred, pred).item() == 0
    mine = loss.lpips.state_dict()
    assert all(torch.equal(value, mine[key]) for key, value in theirs.state_dict().items())


def test_vgg_is_the_default(golden_vgg16: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / 'hub' / 'checkpoints' / VGG16
    file.parent.mkdir(parents=True)
    shutil.copy(golden_vgg16, file)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    weights = torch.load(golden_vgg16, weights_only=True)
    loss = LPIPSLoss()
    assert torch.equal(loss.lpips.state_dict()['net.slice5.28.weight'], weights['features.28.weight'])
    pred, target = golden_input((1, 3, 32, 32), 0), golden_input((1, 3, 32, 32), 1)
    assert 0 < loss(pred, target).item() < 10


def test_frozen_in_eval_mode_and_no_gradient_for_the_target(torch_home: Path) -> None:
    loss = LPIPSLoss(net='squeeze').train()
    pred, target = (golden_input((1, 3, 32, 32), seed).requires_grad_() for seed in (0, 1))
    first = loss(pred, target)
    assert first.item() == loss(pred, target).item()
    assert not any(module.training for module in loss.modules())
    first.backward()
    assert pred.grad is not None
    assert pred.grad.abs().sum() > 0
    assert target.grad is None
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in loss.parameters())


@pytest.mark.parametrize('net', SMALLEST_SIDE)
def test_smallest_side(net: str) -> None:
    side = SMALLEST_SIDE[net]
    assert LPIPSLoss.smallest_side(net=net, loss_weight=2.0) == side
    with torch.device('meta'):
        network = lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False)
        network.to('meta')
        network(torch.rand(1, 3, side, side), torch.rand(1, 3, side, side))
        with pytest.raises(RuntimeError):
            network(torch.rand(1, 3, side - 1, side - 1), torch.rand(1, 3, side - 1, side - 1))


def test_pictures_that_are_too_small(torch_home: Path) -> None:
    loss = LPIPSLoss(net='squeeze')
    small = torch.rand(1, 3, 16, 40)
    with pytest.raises(UserError, match='squeeze needs pictures of 17x17 at least, but got 40x16'):
        loss(small, small)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'torn', 'cannot be read as weights: .*; remove it'),
        ({'features.0.weight': torch.zeros(64, 3, 11, 11)}, r"torchvision's alexnet \(features.0.bias is missing"),
        ([1], 'holds a list, no weights; remove it'),
    ],
)
def test_wrong_file_in_torchs_folder(
    content: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / 'hub' / 'checkpoints' / ALEXNET
    file.parent.mkdir(parents=True)
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(UserError, match=message) as caught:
        lpips_network('alex')
    assert str(file) in str(caught.value)


def test_unknown_net() -> None:
    with pytest.raises(UserError, match="net: 'resnet' is unknown to LPIPS; known are alex, vgg, squeeze"):
        LPIPSLoss(net='resnet')  # type: ignore[arg-type]
