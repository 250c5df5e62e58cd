from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from basicsr.utils.registry import ARCH_REGISTRY
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact
from torch import nn

from b2b_basicsr.archs.mimounet_arch import MIMOUNet, MIMOUNetPlus
from b2b_basicsr.archs.nafnet_arch import NAFNet
from b2b_basicsr.archs.nafnet_local_arch import NAFNetLocal
from b2b_basicsr.archs.patchgan_arch import PatchGANDiscriminator
from b2b_basicsr.archs.restormer_arch import Restormer
from b2b_basicsr.archs.spandrel_arch import SpandrelNet
from b2b_basicsr.archs.unet_arch import UNet
from b2b_basicsr.errors import UserError
from b2b_basicsr.restore.known_networks import known_network
from b2b_basicsr.restore.network_file import DEBLURRER_SECTIONS, network_from_file
from tests.golden_recipe import fill_weights, golden_input

GOLDEN = Path(__file__).resolve().parents[1] / 'golden'

SMALL_RESTORMER: dict[str, Any] = {'dim': 8, 'num_blocks': [1, 2, 1, 1], 'num_refinement_blocks': 1}

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    'MIMOUNet': lambda: MIMOUNet(num_res=2, base_channel=8),
    'MIMOUNetPlus': lambda: MIMOUNetPlus(num_res=3, base_channel=4),
    'NAFNet': lambda: NAFNet(width=8, middle_blk_num=2, enc_blk_nums=[1, 2], dec_blk_nums=[1, 0]),
    'NAFNet without a middle': lambda: NAFNet(width=8, middle_blk_num=0, enc_blk_nums=[1], dec_blk_nums=[1]),
    'Restormer': lambda: Restormer(**SMALL_RESTORMER),
    'Restormer, bias free': lambda: Restormer(**SMALL_RESTORMER, LayerNorm_type='BiasFree'),
    'Restormer, bias': lambda: Restormer(**SMALL_RESTORMER, bias=True),
    'Restormer, other heads': lambda: Restormer(**SMALL_RESTORMER, heads=[2, 1, 8, 4]),
    'Restormer, other factors': lambda: Restormer(**SMALL_RESTORMER, ffn_expansion_factor=3.3),
    'Restormer, a whole factor': lambda: Restormer(**SMALL_RESTORMER, ffn_expansion_factor=2),
    'UNet': lambda: UNet(num_feat=4, num_levels=2),
    'UNet, instance norm': lambda: UNet(num_feat=4, num_levels=3, norm='instance'),
    'UNet, batch norm': lambda: UNet(num_feat=4, num_levels=1, norm='batch'),
}


def net_of(name: str) -> nn.Module:
    net = fill_weights(NETWORKS[name]())
    for key, buffer in net.named_buffers():
        if key.endswith('running_var'):
            buffer.abs_()
    return net.eval()


def output(net: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        outputs = net(golden_input((1, 3, 33, 46), 0))
    last: torch.Tensor = outputs[-1] if isinstance(outputs, list) else outputs
    return last


def saved(folder: Path, content: Any) -> Path:
    path = folder / 'net.pth'
    torch.save(content, path)
    return path


@pytest.mark.parametrize('name', NETWORKS)
def test_networks_of_any_size_by_their_weights_alone(name: str, tmp_path: Path) -> None:
    net = net_of(name)
    found = network_from_file('translator', saved(tmp_path, net.state_dict()))
    assert not found.training
    assert not any(parameter.requires_grad for parameter in found.parameters())
    assert torch.equal(output(found), output(net))
    assert not torch.allclose(output(found), golden_input((1, 3, 33, 46), 0), atol=1e-3)


@pytest.mark.parametrize(
    ('file', 'kind'),
    [
        ('keys_nafnet_gopro_width32', NAFNetLocal),
        ('keys_nafnet_gopro_width64', NAFNetLocal),
        ('keys_restormer_default', Restormer),
    ],
)
def test_keys_and_shapes_of_published_files(file: str, kind: type[nn.Module]) -> None:
    shapes = json.loads((GOLDEN / f'{file}.json').read_text())['state_dict']
    with torch.device('meta'):
        net = known_network({key: torch.empty(shape) for key, shape in shapes.items()})
    assert type(net) is kind
    assert {key: list(value.shape) for key, value in net.state_dict().items()} == shapes


def test_a_plain_nafnet_averages_as_it_did_in_training(tmp_path: Path) -> None:
    net = fill_weights(NAFNet(width=8, enc_blk_nums=[1], dec_blk_nums=[1])).eval()
    found = network_from_file('deblurrer', saved(tmp_path, {'params': net.state_dict()}))
    local = NAFNetLocal(width=8, enc_blk_nums=[1], dec_blk_nums=[1], train_size=[1, 3, 256, 256]).eval()
    local.load_state_dict(net.state_dict())
    wide = golden_input((1, 3, 16, 500), 0)
    with torch.no_grad():
        assert torch.equal(found(wide), local(wide))
        assert not torch.allclose(found(wide), net(wide), atol=1e-4)


LAYOUTS: dict[str, Callable[[Any, Any], Any]] = {
    'EMA before the other': lambda good, other: {'params': other, 'params_ema': good},
    'params': lambda good, other: {'params': good},
    'state_dict': lambda good, other: {'state_dict': good, 'epoch': 3},
    'model': lambda good, other: {'model': good},
    'prefix': lambda good, other: {f'module.{key}': value for key, value in good.items()},
}


@pytest.mark.parametrize('layout', LAYOUTS)
def test_layouts(layout: str, tmp_path: Path) -> None:
    net = net_of('MIMOUNet')
    other = {key: torch.zeros_like(value) for key, value in net.state_dict().items()}
    found = network_from_file('translator', saved(tmp_path, LAYOUTS[layout](net.state_dict(), other)))
    assert torch.equal(output(found), output(net))


def test_safetensors(tmp_path: Path) -> None:
    net = net_of('Restormer')
    save_file(net.state_dict(), tmp_path / 'net.safetensors')
    assert torch.equal(output(network_from_file('deblurrer', tmp_path / 'net.safetensors')), output(net))
    (tmp_path / 'net.safetensors').write_bytes(b'torn')
    with pytest.raises(UserError, match=r"^deblurrer: '.*net.safetensors' cannot be read as safetensors"):
        network_from_file('deblurrer', tmp_path / 'net.safetensors')
    with pytest.raises(UserError, match=r"^deblurrer: no file 'nowhere.safetensors'"):
        network_from_file('deblurrer', 'nowhere.safetensors')


@pytest.mark.parametrize('kind', [NAFNet, NAFNetLocal])
def test_the_section_in_a_checkpoint_is_obeyed_to_the_letter(kind: type[NAFNet], tmp_path: Path) -> None:
    arguments: dict[str, Any] = {'width': 8, 'enc_blk_nums': [1], 'dec_blk_nums': [1]}
    net = fill_weights(kind(**arguments)).eval()
    section = {'type': kind.__name__, **arguments}
    found = network_from_file('translator', saved(tmp_path, {'params': net.state_dict(), 'network': section}))
    assert type(found) is kind
    assert torch.equal(output(found), output(net))


def test_a_network_of_another_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Brighter(nn.Module):
        def __init__(self, by: float) -> None:
            super().__init__()
            self.by, self.scale = by, nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.scale + self.by

    monkeypatch.setitem(ARCH_REGISTRY._obj_map, 'Brighter', Brighter)
    content = {'params': {'scale': torch.full((1,), 0.5)}, 'network': {'type': 'Brighter', 'by': 0.25}}
    x = golden_input((1, 3, 33, 46), 0)
    assert torch.equal(output(network_from_file('deblurrer', saved(tmp_path, content))), x * 0.5 + 0.25)


def option_file(folder: Path, text: str) -> Path:
    path = folder / 'net.yml'
    path.write_text(text)
    return path


MIMO_SECTION = '{type: MIMOUNet, num_res: 2, base_channel: 8}'


@pytest.mark.parametrize(
    'text',
    [
        f'network_deblur: {MIMO_SECTION}\nnetwork_g: {{type: NAFNet}}',
        f'network_g: {MIMO_SECTION}',
        f'network_deblur: ~\nnetwork_g: {MIMO_SECTION}',
    ],
)
def test_an_option_file_comes_first(text: str, tmp_path: Path) -> None:
    net = net_of('MIMOUNet')
    path = saved(tmp_path, {'params': net.state_dict(), 'network': {'type': 'Restormer'}})
    found = network_from_file('deblurrer', path, option_file(tmp_path, text), DEBLURRER_SECTIONS)
    assert torch.equal(output(found), output(net))


def test_the_section_is_the_roles(tmp_path: Path) -> None:
    path = saved(tmp_path, net_of('MIMOUNet').state_dict())
    file = option_file(tmp_path, f'network_g: {MIMO_SECTION}\nnetwork_deblur: {{type: NAFNet}}')
    assert type(network_from_file('translator', path, file)) is MIMOUNet
    with pytest.raises(UserError, match=f'^translator_opt: {file} has no section network_g to say'):
        network_from_file('translator', path, option_file(tmp_path, f'network_deblur: {MIMO_SECTION}'))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('network_g: {type: MIMOUNett}', r'net.yml: network_g:type: .*did you mean MIMOUNet\?'),
        ('network_g: {num_res: 8}', r'net.yml: network_g: must be a section with a type'),
        ('network_g: MIMOUNet', r'net.yml: network_g: must be a section with a type'),
        ('network_g: {type: MIMOUNet, blocks: 8}', r'net.yml: network_g: MIMOUNet: .*blocks'),
        ('network_g: {type: MIMOUNet}', r"^translator: '.*net.pth' is a checkpoint of another network"),
    ],
)
def test_sections_that_do_not_fit(text: str, message: str, tmp_path: Path) -> None:
    path = saved(tmp_path, net_of('MIMOUNet').state_dict())
    with pytest.raises(UserError, match=message):
        network_from_file('translator', path, option_file(tmp_path, text))


def test_a_section_in_the_checkpoint_that_does_not_fit(tmp_path: Path) -> None:
    path = saved(tmp_path, {'params': net_of('MIMOUNet').state_dict(), 'network': {'type': 'Unknown'}})
    with pytest.raises(UserError, match=r"^translator: '.*net.pth': network:type: 'Unknown' is not registered"):
        network_from_file('translator', path)


@pytest.mark.parametrize('value', ['/etc/passwd', 'other.pth'])
def test_a_section_in_the_checkpoint_has_no_other_file_read(value: str, tmp_path: Path) -> None:
    section = {'type': 'SpyNet', 'load_path': value}
    path = saved(tmp_path, {'params': net_of('MIMOUNet').state_dict(), 'network': section})
    with pytest.raises(
        UserError, match=r'network: load_path names a file, .*, which is not read on the word of a check'
    ):
        network_from_file('translator', path)


def compact() -> nn.Module:
    """A network of spandrel's that is none of ours, and keeps the size."""
    torch.manual_seed(0)
    return Compact(num_feat=8, num_conv=2, upscale=1).eval()


def test_networks_of_spandrel(tmp_path: Path) -> None:
    net = compact()
    found = network_from_file('deblurrer', saved(tmp_path, {'params': net.state_dict()}))
    assert isinstance(found, SpandrelNet)
    assert not found.training
    assert torch.equal(output(found), output(net))


def test_a_fine_tuned_network_of_spandrel_needs_not_the_file_it_began_with(tmp_path: Path) -> None:
    net = compact()
    section = {'type': 'SpandrelNet', 'path': str(tmp_path / 'gone.pth')}
    content = {'params': net.state_dict(), 'network': section}
    assert torch.equal(output(network_from_file('deblurrer', saved(tmp_path, content))), output(net))


UNKNOWN: dict[str, dict[str, torch.Tensor]] = {
    'foreign': {'weight': torch.ones(3, 3)},
    'a key too many': {**MIMOUNet(num_res=1, base_channel=4).state_dict(), 'more': torch.ones(1)},
    'discriminator': PatchGANDiscriminator(num_feat=4).state_dict(),
}


@pytest.mark.parametrize('name', UNKNOWN)
def test_what_nothing_recognises(name: str, tmp_path: Path) -> None:
    path = saved(tmp_path, UNKNOWN[name])
    with pytest.raises(UserError) as failure:
        network_from_file('deblurrer', path)
    message = str(failure.value)
    assert message.startswith(f'deblurrer: nothing tells what network {str(path)!r} holds')
    for tried in (
        '`network`',
        'MIMOUNet, NAFNet, Restormer and UNet',
        'spandrel recognises no network',
        '--deblurrer-opt',
    ):
        assert tried in message
    assert '\n' not in message


def test_a_network_that_enlarges(tmp_path: Path) -> None:
    net = Compact(num_feat=8, num_conv=2, upscale=2)
    with pytest.raises(UserError, match='enlarges 2 times'):
        network_from_file('deblurrer', saved(tmp_path, net.state_dict()))


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (Path('harm'),))


def test_files_that_could_run_code_or_hold_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r'^translator: .* is not read: it holds an object of'):
        network_from_file('translator', saved(tmp_path, {'params': Harmful()}))
    assert not Path('harm').exists()
    with pytest.raises(UserError, match=r"^translator: no file 'nowhere.pth'"):
        network_from_file('translator', 'nowhere.pth')
    with pytest.raises(UserError, match=r'^translator: .* has no weights'):
        network_from_file('translator', saved(tmp_path, {'epoch': 3}))
