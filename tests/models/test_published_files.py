"""Published deblurrers as network_deblur, by a plain path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from basicsr.archs import build_network
from basicsr.models import build_model

from b2b_basicsr.errors import UserError
from b2b_basicsr.models.frozen_network import frozen_network
from tests.golden_recipe import fill_weights, golden_input

Options = dict[str, Any]
CPU = torch.device('cpu')

NETWORKS: dict[str, Options] = {
    'NAFNet': {'type': 'NAFNet', 'width': 8, 'enc_blk_nums': [1], 'dec_blk_nums': [1]},
    'NAFNetLocal': {'type': 'NAFNetLocal', 'width': 8, 'enc_blk_nums': [1], 'dec_blk_nums': [1]},
    'Restormer': {'type': 'Restormer', 'dim': 8, 'num_blocks': [1, 1, 1, 1], 'num_refinement_blocks': 1},
}


def _prefixed(state: Options) -> Options:
    return {f'module.{key}': value for key, value in state.items()}


LAYOUTS: dict[str, Callable[[Options], Options]] = {
    'params': lambda state: {'params': state},
    'EMA alone': lambda state: {'params_ema': state},
    'both': lambda state: {'params': state, 'params_ema': {key: 0 * value for key, value in state.items()}},
    'plain': lambda state: state,
    'prefixes': _prefixed,
    'prefixes below': lambda state: {'params': _prefixed(state)},
}


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('name', NETWORKS)
@torch.no_grad()
def test_a_plain_path_is_enough(name: str, layout: str, tmp_path: Path) -> None:
    published = fill_weights(build_network(NETWORKS[name])).eval()
    torch.save(LAYOUTS[layout](published.state_dict()), tmp_path / 'published.pth')
    opt = {'network_deblur': NETWORKS[name], 'path': {'pretrain_network_deblur': str(tmp_path / 'published.pth')}}
    net = frozen_network(opt, 'network_deblur', CPU)
    assert not any(parameter.requires_grad for parameter in net.parameters())
    x = golden_input((1, 3, 21, 18), 0)
    assert torch.equal(net(x), published(x))


@torch.no_grad()
def test_ema_where_it_is_asked_for(tmp_path: Path) -> None:
    published = fill_weights(build_network(NETWORKS['NAFNet'])).state_dict()
    ema = {key: 2 * value for key, value in published.items()}
    torch.save({'params': published, 'params_ema': ema}, tmp_path / 'net.pth')
    path = {'pretrain_network_deblur': str(tmp_path / 'net.pth'), 'param_key_deblur': 'params_ema'}
    net = frozen_network({'network_deblur': NETWORKS['NAFNet'], 'path': path}, 'network_deblur', CPU)
    assert torch.equal(net.state_dict()['intro.weight'], ema['intro.weight'])


@pytest.fixture
def nafnet_file(tmp_path: Path) -> str:
    net = fill_weights(build_network(NETWORKS['NAFNet']))
    torch.save({'params': net.state_dict()}, tmp_path / 'NAFNet-GoPro-width8.pth')
    return str(tmp_path / 'NAFNet-GoPro-width8.pth')


@torch.no_grad()
def test_spandrelnet_needs_no_pretrain_path(nafnet_file: str) -> None:
    x = golden_input((1, 3, 21, 18), 0)
    expected = fill_weights(build_network(NETWORKS['NAFNet'])).eval()(x)
    opt: Options = {'network_deblur': {'type': 'SpandrelNet', 'path': nafnet_file}, 'path': {}}
    assert torch.allclose(frozen_network(opt, 'network_deblur', CPU)(x), expected, atol=1e-5)
    opt['network_deblur'] = NETWORKS['NAFNet']
    with pytest.raises(UserError, match='path:pretrain_network_deblur: missing'):
        frozen_network(opt, 'network_deblur', CPU)


def test_spandrelnet_deblurs_in_blur2blur(options: Options, nafnet_file: str) -> None:
    options['network_deblur'] = {'type': 'SpandrelNet', 'path': nafnet_file}
    options['val'] = {'val_freq': 1, 'save_img': False}
    model = build_model(options)
    model.feed_data({'lq': torch.rand(1, 3, 21, 18)})
    model.test_direct()
    expected = fill_weights(build_network(NETWORKS['NAFNet'])).eval()(model.lq)
    assert torch.allclose(model.direct, expected, atol=1e-5)


def test_spandrelnet_as_a_translator_trains_with_ema_and_is_saved_under_its_own_keys(
    options: Options, batch: Callable[..., dict[str, torch.Tensor]], nafnet_file: str, tmp_path: Path
) -> None:
    options['network_g'] = {'type': 'SpandrelNet', 'path': nafnet_file}
    options['train']['ema_decay'] = 0.5
    model = build_model(options)
    for iteration in (1, 2):
        model.feed_data(batch(iteration))
        model.optimize_parameters(iteration)
    model.save(0, 2)
    saved = torch.load(tmp_path / 'models' / 'net_g_2.pth', weights_only=True)
    given = torch.load(nafnet_file, weights_only=True)['params']
    assert list(saved['params']) == list(saved['params_ema']) == list(given)
    assert not torch.equal(saved['params']['ending.weight'], given['ending.weight'])
    options['path']['pretrain_network_g'] = str(tmp_path / 'models' / 'net_g_2.pth')
    again = build_model(options)
    assert torch.equal(again.net_g.state_dict()['ending.weight'], saved['params']['ending.weight'])
