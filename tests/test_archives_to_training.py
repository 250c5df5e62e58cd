"""From archives in the published layouts to a training, by the commands and option files that ship."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import basicsr.utils.options
import pytest
import torch
import yaml
from basicsr.archs import build_network
from basicsr.models import build_model
from click.testing import CliRunner
from torch.utils.data import default_collate

from b2b_basicsr.commands.prepare_command import prepare
from b2b_basicsr.shipped_options import shipped_option_files
from tests.compat.conftest import Script, run_python  # noqa: F401  a fixture
from tests.prepare.published_archives import make_gopro, make_phonecraft, make_rb2v, make_reds, make_rsblur

Options = dict[str, Any]
SIZE = (288, 260)
NARROW: Options = {
    'network_g': {'type': 'MIMOUNet', 'num_res': 1, 'base_channel': 4},
    'network_d': {'type': 'PatchGANDiscriminator', 'num_feat': 4},
    'network_k': {'type': 'KernelWizard', 'nf': 4, 'front_RBs': 1, 'back_RBs': 1, 'kernel_dim': 8, 'n_blocks': 1},
    'network_deblur': {'type': 'NAFNetLocal', 'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]},
    'restormer': {'type': 'Restormer', 'dim': 4, 'num_blocks': [1, 1, 1, 1], 'num_refinement_blocks': 1},
}
SAME_AS = {'KernelWizard': 'network_k', 'NAFNetLocal': 'network_deblur', 'Restormer': 'restormer'}
ARCHIVES: dict[str, tuple[Callable[..., list[Path]], list[str]]] = {
    'rb2v': (make_rb2v, []),
    'reds': (make_reds, ['--incomplete']),
    'rsblur': (make_rsblur, ['--incomplete']),
    'phonecraft': (make_phonecraft, ['--fps', '0', '--test-share', '0.5']),
}


def _shipped(name: str) -> Options:
    file = next(file for file in shipped_option_files() if file.name == f'{name}.yml')
    options: Options = yaml.safe_load(file.read_text(encoding='utf-8'))
    return options


def _narrow(options: Options, **train: Any) -> Options:
    """The shipped file with narrow networks, a content loss that needs no download, and what is given for train."""
    for name in set(NARROW) & set(options):
        options[name] = dict(NARROW[SAME_AS.get(options[name]['type'], name)])
    options['num_gpu'] = 0
    if 'train' in options:
        options['datasets']['train']['num_worker_per_gpu'] = 0
        options['logger'] |= {'print_freq': 1, 'use_tb_logger': False}
        options['train'] |= train
        if 'perceptual_opt' in options['train']:
            options['train']['perceptual_opt'] = {'type': 'RandomFeatureLoss', 'num_feat': 4}
    return options


def _write(options: Options) -> Path:
    path = Path(f'{options["name"]}.yml')
    path.write_text(yaml.safe_dump(options, sort_keys=False))
    return path


def _weights(options: Options, *sections: str) -> None:
    """Files of weights where the option file looks for them."""
    for section in sections:
        path = Path(options['path'][f'pretrain_{section}'])
        path.parent.mkdir(parents=True, exist_ok=True)
        key = options['path'][f'param_key_{section.removeprefix("network_")}']
        torch.save({key: build_network(dict(options[section])).state_dict()}, path)


def _prepare(*arguments: object) -> str:
    result = CliRunner().invoke(prepare, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def _parse(options: Options, monkeypatch: pytest.MonkeyPatch, *, is_train: bool) -> Options:
    monkeypatch.setattr(sys, 'argv', ['x', '-opt', str(_write(options))])
    monkeypatch.setattr(sys, 'excepthook', sys.excepthook)
    parsed: Options = basicsr.utils.options.parse_options('.', is_train=is_train)[0]
    return parsed


@pytest.mark.parametrize('name', ARCHIVES)
def test_shipped_files_find_what_is_prepared(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders that ``b2b prepare`` makes by default are those that the shipped files name, sizes and all."""
    monkeypatch.chdir(tmp_path)
    make, arguments = ARCHIVES[name]
    _prepare('gopro', *make_gopro(Path('downloads'), frames=2, size=SIZE), '--incomplete')
    _prepare(name, *make(Path('downloads'), frames=2, size=SIZE), *arguments)
    train = _narrow(_shipped(f'b2b_{name}'))
    assert train['datasets']['train']['ratio'] is None, 'prepared sets are used whole'
    _weights(train, 'network_k', 'network_deblur')
    parsed = _parse(train, monkeypatch, is_train=True)
    dataset = basicsr.data.build_dataset({**parsed['datasets']['train'], 'phase': 'train'})
    scenes = [{Path(name).parts[0] for name in source.names} for source in (dataset.blur, dataset.sharp)]
    assert all(scenes)
    assert not scenes[0] & scenes[1]
    assert len(dataset[0]['known_blur'][0]) == 256
    test = _narrow(_shipped(f'test_b2b_{name}'))
    assert test['path']['pretrain_network_g'].startswith(f'experiments/{train["name"]}/models/net_g_')
    _weights(test, 'network_g')
    section = _parse(test, monkeypatch, is_train=False)['datasets']['test_1']
    assert len(basicsr.data.build_dataset(section)) > 0


@pytest.mark.parametrize('name', ['gopro', 'reds'])
def test_kernel_files_find_what_is_prepared(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make = {'gopro': make_gopro, 'reds': make_reds}[name]
    _prepare(name, *make(Path('downloads'), frames=2, size=SIZE), '--incomplete')
    opt = _parse(_narrow(_shipped(f'kernel_{name}')), monkeypatch, is_train=True)
    for phase, count in (('train', 10), ('val', 4)):
        assert len(basicsr.data.build_dataset({**opt['datasets'][phase], 'phase': phase, 'scale': 1})) == count


def test_deblurrers_find_what_is_prepared_and_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of each, on patches of the size that their stages name."""
    monkeypatch.chdir(tmp_path)
    _prepare('gopro', *make_gopro(Path('downloads'), scenes=(2, 1), frames=2, size=(400, 390)), '--incomplete')
    whole, grown = {1: (2, 3, 256, 256)}, {92000: (2, 3, 128, 128), 92001: (2, 3, 160, 160), 300000: (1, 3, 384, 384)}
    for name, shapes in (('nafnet', whole), ('restormer', grown)):
        opt = _parse(_narrow(_shipped(f'deblur_gopro_{name}')), monkeypatch, is_train=True)
        dataset = basicsr.data.build_dataset({**opt['datasets']['train'], 'phase': 'train'})
        batch = default_collate([dataset[index] for index in range(2)])
        model = build_model(opt)
        for iteration, shape in shapes.items():
            before = [parameter.clone() for parameter in model.net_g.parameters()]
            model.feed_data(batch)
            model.optimize_parameters(iteration)
            assert model.lq.shape == shape
            assert any(not torch.equal(*pair) for pair in zip(before, model.net_g.parameters(), strict=True))
            log = model.get_current_log()
            assert set(log) == {'l_pix', 'grad_norm'}
            assert all(math.isfinite(value) for value in log.values())


@pytest.mark.slow
def test_from_archives_to_a_trained_translator(
    run_python: Script,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two archives, the kernel network, K on the fly and K once, Blur2Blur and its test."""

    def b2b(*arguments: object) -> str:
        done = run_python('-m', 'b2b_basicsr', *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    monkeypatch.chdir(tmp_path)
    gopro = make_gopro(Path('downloads'), 'zip', scenes=(2, 1), frames=2, size=SIZE)
    rb2v = make_rb2v(Path('downloads'), 'tar.gz', scenes=(3, 1), frames=2, size=SIZE)
    b2b('prepare', 'gopro', *gopro, '--incomplete')
    b2b('prepare', 'rb2v', *rb2v)

    kernel = _narrow(_shipped('kernel_gopro'), total_iter=2)
    kernel['datasets']['train']['batch_size_per_gpu'] = 2
    kernel['val'] |= {'val_freq': 2, 'pbar': False}
    log = b2b('train', '-opt', _write(kernel))
    assert '# psnr_no_blur:' in log
    assert Path('experiments/kernel_gopro/visualization/GoPro_test/GoPro_test_2.png').is_file()

    train = _narrow(_shipped('b2b_rb2v'), total_iter=2, scheduler={'type': 'LinearDecayLR', 'start': 1})
    train['val'] |= {'val_freq': 2, 'pbar': False}
    _weights(train, 'network_deblur')
    option_file = _write(train)
    log = b2b('train', '-opt', option_file)
    assert 'Loading KernelWizard from experiments/kernel_gopro/models/net_g_best.pth' in log
    assert 'param key: [params_ema]' in log
    assert '# gain:' in log
    assert [int(found) for found in re.findall(r'iter:\s+(\d+), lr', log)] == [1, 2]

    b2b('prepare', 'known', '-opt', option_file)
    for key in ('dataroot_known_blur', 'dataroot_known_sharp'):
        del train['datasets']['train'][key]
    del train['network_k']
    train['name'] += '_ready_made'
    train['datasets']['train']['dataroot_known'] = 'datasets/RB2V/unpaired/known'
    log = b2b('train', '-opt', _write(train))
    assert [int(found) for found in re.findall(r'iter:\s+(\d+), lr', log)] == [1, 2]

    log = b2b('test', '-opt', _write(_narrow(_shipped('test_b2b_rb2v'))))
    assert '# gain:' in log
    assert list(Path('results').rglob('*_translated.png'))
