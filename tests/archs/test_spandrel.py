from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from spandrel import ModelLoader
from spandrel.architectures.MixDehazeNet import MixDehazeNet
from spandrel.architectures.SwinIR import SwinIR
from spandrel.architectures.Uformer import Uformer
from torch import nn

from b2b_basicsr.archs import NAFNet, PatchGANDiscriminator, SpandrelNet
from b2b_basicsr.errors import UserError
from tests.golden_recipe import fill_weights, golden_input

State = dict[str, Any]


def nafnet() -> NAFNet:
    return fill_weights(NAFNet(width=8, enc_blk_nums=[1], dec_blk_nums=[1])).eval()


def saved(content: Any, folder: Path) -> str:
    torch.save(content, folder / 'net.pth')
    return str(folder / 'net.pth')


LAYOUTS: dict[str, Any] = {
    'params': lambda good, other: {'params': good},
    'EMA alone': lambda good, other: {'params_ema': good},
    'EMA before the other': lambda good, other: {'params': other, 'params_ema': good},
    'plain': lambda good, other: good,
    'prefix': lambda good, other: {f'module.{key}': value for key, value in good.items()},
    'prefix below': lambda good, other: {'epoch': 3, 'state_dict': {f'module.{k}': v for k, v in good.items()}},
}


@pytest.mark.parametrize('layout', LAYOUTS)
@torch.no_grad()
def test_layouts_of_published_files(layout: str, tmp_path: Path) -> None:
    net = nafnet()
    other = {key: torch.zeros_like(value) for key, value in net.state_dict().items()}
    found = SpandrelNet(saved(LAYOUTS[layout](net.state_dict(), other), tmp_path)).eval()
    assert found.architecture == 'NAFNet'
    x = golden_input((2, 3, 37, 46), 0)
    assert torch.allclose(found(x), net(x), atol=1e-5)
    assert not torch.allclose(found(x), x, atol=1e-2)


@torch.no_grad()
def test_safetensors(tmp_path: Path) -> None:
    net = nafnet()
    save_file(net.state_dict(), tmp_path / 'net.safetensors')
    x = golden_input((1, 3, 16, 16), 0)
    assert torch.allclose(SpandrelNet(str(tmp_path / 'net.safetensors'))(x), net(x), atol=1e-5)
    (tmp_path / 'net.safetensors').write_bytes(b'torn')
    with pytest.raises(UserError, match='cannot be read as safetensors'):
        SpandrelNet(str(tmp_path / 'net.safetensors'))


ARCHITECTURES: dict[str, Any] = {
    # wants 40 pixels at least, and is called otherwise than the others
    'MixDehazeNet': lambda: MixDehazeNet(in_chans=3, out_chans=4, embed_dims=[8, 16, 32, 16, 8], depths=[1] * 5),
    # wants squares of multiples of 128
    'Uformer': lambda: Uformer(embed_dim=8, depths=[1] * 9, num_heads=[1] * 9, win_size=8),
}


@pytest.mark.parametrize('name', ARCHITECTURES)
@torch.no_grad()
def test_architectures_that_want_certain_sizes(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = saved({'params': ARCHITECTURES[name]().state_dict()}, tmp_path)
    net, descriptor = SpandrelNet(path).eval(), ModelLoader().load_from_file(path)
    assert net.architecture == descriptor.architecture.name == name
    allowed = golden_input((1, 3, 128, 128), 0)
    assert torch.allclose(net(allowed).clamp(0, 1), descriptor(allowed), atol=1e-6)
    for size in ((37, 45), (1, 1), (130, 20)):
        x = golden_input((2, 3, *size), 1)
        restored = net(x)
        assert restored.shape == x.shape
        assert restored.isfinite().all()


def test_numbers_survive_the_meta_device(tmp_path: Path) -> None:
    path = saved({'params': nafnet().state_dict()}, tmp_path)
    with torch.device('meta'):
        net = SpandrelNet(path)
    expected = nafnet().state_dict()
    assert net.carries_weights
    assert all(torch.equal(value, expected[key]) for key, value in net.state_dict().items())


def test_state_dict_is_the_architectures_own(tmp_path: Path) -> None:
    given = nafnet().state_dict()
    net = SpandrelNet(saved({'params': given}, tmp_path))
    assert list(net.state_dict()) == list(given)
    changed = {key: value + 1 for key, value in given.items()}
    net.load_state_dict(changed)
    assert torch.equal(net.state_dict()['intro.weight'], changed['intro.weight'])
    assert 'intro.weight' in changed
    with pytest.raises(RuntimeError, match='stranger'):
        net.load_state_dict({**given, 'stranger': torch.ones(1)})

    inside = nn.Sequential(net)
    assert list(inside.state_dict()) == [f'0.{key}' for key in given]
    inside.load_state_dict({f'0.{key}': value for key, value in given.items()})
    assert torch.equal(net.state_dict()['intro.weight'], given['intro.weight'])
    again = SpandrelNet(saved(net.state_dict(), tmp_path))
    assert torch.equal(again.state_dict()['ending.bias'], given['ending.bias'])


def test_it_can_be_trained_further(tmp_path: Path) -> None:
    net = SpandrelNet(saved({'params': nafnet().state_dict()}, tmp_path)).train()
    kept = deepcopy(net)
    x = golden_input((1, 3, 17, 16), 0)
    (net(x) - 0.5).abs().mean().backward()
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    assert all(parameter.grad is not None for parameter in net.parameters())
    assert not torch.equal(kept(x), net(x))


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (Path('harm'),))


SMALL: State = {'img_size': 8, 'window_size': 4, 'embed_dim': 8, 'depths': [1], 'num_heads': [1]}
WRONG: dict[str, Any] = {
    'spandrel recognises no network in': lambda: {'params': PatchGANDiscriminator(num_feat=4).state_dict()},
    'is a SwinIR that enlarges 2 times': lambda: SwinIR(upscale=2, upsampler='pixelshuffledirect', **SMALL),
    'is a SwinIR from 1 to 1 channels': lambda: SwinIR(upscale=1, upsampler='', in_chans=1, **SMALL),
    'is not read: it holds an object of': lambda: {'params': Harmful()},
    'spandrel cannot load': lambda: {'params': {**nafnet().state_dict(), 'middle_blks.0.conv1.weight': torch.ones(1)}},
    'holds a list': lambda: [1, 2],
}


@pytest.mark.parametrize('message', WRONG)
def test_files_that_are_none(message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = WRONG[message]()
    path = saved(content.state_dict() if isinstance(content, nn.Module) else content, tmp_path)
    with pytest.raises(UserError, match=f'SpandrelNet: path: .*{message}') as caught:
        SpandrelNet(path)
    assert '\n' not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ['net.pth']


@pytest.mark.parametrize(('path', 'message'), [('nowhere.pth', "no file 'nowhere.pth'"), (None, 'None is no path')])
def test_no_file(path: Any, message: str) -> None:
    with pytest.raises(UserError, match=f'SpandrelNet: path: {message}'):
        SpandrelNet(path)
