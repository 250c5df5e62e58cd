from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import basicsr
import basicsr.train
import pytest
from basicsr.utils import misc
from basicsr.utils.registry import MODEL_REGISTRY

from b2b_basicsr.errors import UserError


@pytest.fixture(autouse=True)
def models() -> Iterator[None]:
    """Two models: one tells which of its networks are frozen, one is anybody's."""

    class WithFrozen:
        frozen_networks = ('network_deblur', 'network_k')

    class Anybody:
        pass

    MODEL_REGISTRY.register(WithFrozen)
    MODEL_REGISTRY.register(Anybody)
    yield
    del MODEL_REGISTRY._obj_map['WithFrozen'], MODEL_REGISTRY._obj_map['Anybody']


@pytest.fixture
def opt(tmp_path: Path) -> dict[str, Any]:
    """Options of a training to resume at iteration 8, whose networks g and d are saved."""
    (tmp_path / 'net_g_8.pth').touch()
    (tmp_path / 'net_d_8.pth').touch()
    return {
        'model_type': 'WithFrozen',
        'network_g': {},
        'network_d': {},
        'network_k': {},
        'network_deblur': {},
        'path': {
            'models': str(tmp_path),
            'resume_state': str(tmp_path / '8.state'),
            'pretrain_network_g': 'start_g.pth',
            'param_key_g': 'params_ema',
            'pretrain_network_deblur': 'nafnet.pth',
            'param_key_deblur': 'params_ema',
            'strict_load_g': True,
        },
    }


def test_frozen_networks_keep_their_weights(
    opt: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    misc.check_resume(opt, 8)
    assert opt['path'] == {
        'models': str(tmp_path),
        'resume_state': str(tmp_path / '8.state'),
        'pretrain_network_g': str(tmp_path / 'net_g_8.pth'),
        'param_key_g': 'params',
        'pretrain_network_d': str(tmp_path / 'net_d_8.pth'),
        'pretrain_network_deblur': 'nafnet.pth',
        'param_key_deblur': 'params_ema',
        'strict_load_g': True,
    }
    assert 'deblur' not in capsys.readouterr().out


@pytest.mark.parametrize('ignored', [['network_d'], 'network_d'])
def test_networks_that_the_user_exempts_keep_theirs_too(opt: dict[str, Any], ignored: Any) -> None:
    opt['path'].update(ignore_resume_networks=ignored, pretrain_network_d='start_d.pth', param_key_d='params_ema')
    misc.check_resume(opt, 8)
    assert opt['path']['ignore_resume_networks'] == ignored
    assert opt['path']['pretrain_network_d'] == 'start_d.pth'
    assert opt['path']['param_key_d'] == 'params_ema'
    assert opt['path']['pretrain_network_deblur'] == 'nafnet.pth'


def test_other_models_are_treated_as_before(opt: dict[str, Any], tmp_path: Path) -> None:
    for model_type in ('Anybody', 'NoSuchModel'):
        path = {**opt['path'], 'ignore_resume_networks': ['network_k']}
        misc.check_resume({**opt, 'model_type': model_type, 'path': path}, 8)
        assert path['pretrain_network_deblur'] == str(tmp_path / 'net_deblur_8.pth')
        assert path['param_key_deblur'] == 'params'
        assert path['pretrain_network_g'] == str(tmp_path / 'net_g_8.pth')
        assert 'pretrain_network_k' not in path


def test_weights_that_were_not_saved_are_named(opt: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / 'net_d_8.pth').unlink()
    with pytest.raises(UserError, match=r'net_d_8\.pth: network_d .*ignore_resume_networks'):
        misc.check_resume(opt, 8)


def test_without_a_state_nothing_is_changed(opt: dict[str, Any]) -> None:
    opt['path']['resume_state'] = None
    before = dict(opt['path'])
    misc.check_resume(opt, 8)
    assert opt['path'] == before


def test_it_is_in_every_place_of_basicsr() -> None:
    assert misc.check_resume is basicsr.utils.check_resume is basicsr.train.check_resume is basicsr.check_resume
    assert misc.check_resume.__wrapped__.__module__ == 'basicsr.utils.misc'
