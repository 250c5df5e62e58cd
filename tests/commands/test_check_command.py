"""``b2b check`` from end to end, on tiny option files."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from basicsr.archs import build_network
from basicsr.utils.lmdb_util import make_lmdb_from_imgs
from click.testing import CliRunner
from PIL import Image

from b2b_basicsr.commands.check_command import check
from b2b_basicsr.commands.cli import main
from b2b_basicsr.whole_file import clear_leftovers
from tests.checks.conftest import changed, data, options, write  # noqa: F401  fixtures
from tests.compat.conftest import Script, run_python  # noqa: F401

Options = dict[str, Any]
Tables = dict[str, list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _own_argv_and_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, 'argv', sys.argv)
    monkeypatch.setattr(sys, 'excepthook', sys.excepthook)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def checked(write: Callable[[Options], Path]) -> Callable[..., Tables]:  # noqa: F811
    """The tables of the last line, by the first word of their caption; nothing else is there afterwards."""

    def tables_of(options: Options, *arguments: str) -> Tables:  # noqa: F811
        path = write(options)
        before = _everything_below(path.parent)
        result = CliRunner().invoke(check, ['-opt', str(path), '--json', *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert _everything_below(path.parent) == before
        content = json.loads(result.stdout.splitlines()[-1])
        return {table['caption'].split()[0].rstrip(':,'): table['rows'] for table in content['tables']}

    return tables_of


@pytest.fixture
def stopped(
    write: Callable[[Options], Path],  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Options], list[str]]:
    """What a check that ends with exit status 2 says on standard error, without bars."""

    def lines_of(options: Options) -> list[str]:  # noqa: F811
        path = write(options)
        before = _everything_below(path.parent)
        monkeypatch.setattr(sys, 'argv', ['b2b', 'check', '-opt', str(path)])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2
        assert _everything_below(path.parent) == before
        said = capsys.readouterr()
        assert said.out == ''
        return [line for line in said.err.replace('\r', '\n').splitlines() if line.strip() and 'pictures/s' not in line]

    return lines_of


def _everything_below(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ''
        for path in folder.rglob('*')
    }


def test_training(checked: Callable[..., Tables], options: Options, data: Path, tmp_path: Path) -> None:  # noqa: F811
    """Beside an experiment of the same name, which BasicSR's training would archive."""
    old = tmp_path / 'experiments' / 'tiny' / 'models' / 'net_g_5.pth'
    old.parent.mkdir(parents=True)
    old.write_text('months of work')
    options['logger'] |= {'use_tb_logger': True, 'save_checkpoint_freq': 2}
    tables = checked(options)

    assert [(row['set'], row['pictures'], row['smallest'], row['largest']) for row in tables['Pictures']] == [
        ('train:dataroot_blur', 3, '48x40', '48x40'),
        ('train:dataroot_sharp', 3, '48x40', '48x40'),
        ('val:dataroot_lq', 3, '48x40', '48x40'),
        ('val:dataroot_gt', 3, '48x40', '48x40'),
    ]
    assert tables['Pictures'][1] | {'folder': ''} == {
        **{'set': 'train:dataroot_sharp', 'folder': '', 'pictures': 3, 'smallest': '48x40', 'largest': '48x40'},
        **{'files': 'png 3', 'top folders': None, 'names in B, too': 3},
    }
    networks = {row['network']: row for row in tables['Networks']}
    assert networks['network_g']['weights'] == 'untrained'
    assert networks['network_d']['use'] == 'trained'
    deblur = networks['network_deblur']
    assert (deblur['use'], deblur['weights'], deblur['key']) == ('frozen', str(data / 'deblur.pth'), 'params')
    weights = torch.load(data / 'deblur.pth', weights_only=True)['params']
    assert deblur['parameters (M)'] == pytest.approx(sum(weight.numel() for weight in weights.values()) / 1e6)

    (steps,) = tables['Steps']
    assert steps['device'].startswith('cpu (')
    assert (steps['precision'], steps['batch']) == ('fp32', 2)
    assert 0 < steps['waits for data (s)'] < steps['a step (s)']
    assert 0.05 < steps['memory (GiB)'] < 8
    (validation,) = tables['Validation']
    assert (validation['set'], validation['size'], validation['pictures']) == ('test', '48x40', 3)
    assert validation['scores'].startswith('psnr ')
    assert ', gain ' in validation['scores']
    assert validation['timed'] == 'second time'
    assert validation['whole set, about (s)'] == pytest.approx(3 * validation['seconds'])

    times = {row['what']: row for row in tables['Time']}
    assert [times[what]['times'] for what in ('steps', 'validations', 'checkpoints')] == [5, 2, 2]
    assert times['steps']['hours'] == pytest.approx(5 * steps['a step (s)'] / 3600)
    assert times['all']['days'] == pytest.approx(sum(row['hours'] for row in tables['Time'][:-1]) / 24)
    disk = {row['what']: row for row in tables['Disk']}
    assert disk['state of an iteration']['times'] == 2
    assert disk['net_g_best']['each (MiB)'] > 0
    assert disk['pictures of a validation, about']['times'] == 2
    assert disk['free there']['all (GiB)'] > disk['all']['all (GiB)'] > 0
    assert 'Warnings' not in tables


@pytest.mark.slow
def test_training_as_users_start_it(
    options: Options,  # noqa: F811
    write: Callable[[Options], Path],  # noqa: F811
    run_python: Script,  # noqa: F811
    tmp_path: Path,
) -> None:
    options['datasets']['train'] |= {'num_worker_per_gpu': 1}
    path = write(options)
    before = _everything_below(tmp_path)
    arguments = ('check', '-opt', path, '--force_yml', 'train:total_iter=50', 'manual_seed=3')
    result = run_python('-m', 'b2b_basicsr', *arguments)
    assert result.returncode == 0, result.stderr
    assert _everything_below(tmp_path) == before
    for caption in ('Pictures', 'Networks', 'Steps', 'Validation', 'Time to total_iter 50 (50 epochs', 'Disk'):
        assert f'\n{caption}' in result.stdout
    assert 'without its 1 workers' in result.stdout
    assert 'distributed' not in result.stdout


def test_every_broken_picture_is_told(
    stopped: Callable[[Options], list[str]],
    options: Options,  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = tmp_path / 'blurry'
    (folder / 'scene').mkdir(parents=True)
    for index in range(30):
        path = folder / 'scene' / f'{index:02}.png'
        Image.effect_noise((48, 40), 50).convert('RGB').save(path)
        if index % 4:
            path.write_bytes(path.read_bytes()[: 400 if index % 2 else 0])
    (tmp_path / 'test_gt').mkdir()
    for index in range(3):
        (tmp_path / 'test_gt' / f'{index}.png').write_bytes(b'no picture')
    options['datasets']['train']['dataroot_blur'] = str(folder)
    options['datasets']['val']['dataroot_gt'] = str(tmp_path / 'test_gt')
    *told, rest, last = stopped(options)
    assert len(told) == 20
    broken = [index for index in range(30) if index % 4][:20]
    for index, line in zip(broken, told, strict=True):
        assert line.startswith(
            f'datasets:train:dataroot_blur: {folder}/scene/{index:02}.png cannot be read as a picture'
        )
    assert rest == 'and 5 more'
    assert last == ('error: 25 of 39 pictures cannot be read, see above; mend them or take them out. No step was tried')


def test_every_small_picture_is_told(
    stopped: Callable[[Options], list[str]],
    options: Options,  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = tmp_path / 'blurry'
    folder.mkdir()
    for index, side in enumerate((40, 20, 40, 24)):
        Image.new('RGB', (side, side)).save(folder / f'{index}.png')
    options['datasets']['train']['dataroot_blur'] = str(folder)
    *told, last = stopped(options)
    assert ['1.png measures 20x20' in told[0], '3.png measures 24x24' in told[1], len(told)] == [True, True, 2]
    assert last.startswith('error: 2 found wrong in sizes and pairs, see above')


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'train__ema_decoy': 0.9}, 'train:ema_decoy: unknown key; did you mean ema_decay?'),
        ({'datasets__train__dataroot_blur': 'nowhere'}, "datasets:train:dataroot_blur: no folder 'nowhere'"),
        ({'path__pretrain_network_deblur': 'no.pth'}, "path:pretrain_network_deblur: no file 'no.pth'"),
    ],
)
def test_mistakes_are_those_of_training(
    stopped: Callable[[Options], list[str]],
    options: Options,  # noqa: F811
    changes: Options,
    message: str,
) -> None:
    (line,) = stopped(changed(options, **changes))
    assert message in line


def test_others_files_are_refused(stopped: Callable[[Options], list[str]], options: Options) -> None:  # noqa: F811
    (line,) = stopped(changed(options, model_type='SRModel'))
    assert "model_type: 'SRModel' is no model of b2b_basicsr" in line
    (line,) = stopped(changed(options, model_type=...))
    assert 'model_type: missing' in line


def test_test_file_with_lmdb(
    checked: Callable[..., Tables],
    options: Options,  # noqa: F811
    data: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    for folder in ('test_lq', 'test_gt'):
        names = [f'{index}.png' for index in range(3)]
        make_lmdb_from_imgs(str(data / folder), str(tmp_path / f'{folder}.lmdb'), names, [name[:-4] for name in names])
    (tmp_path / 'big').mkdir()
    for index, width in enumerate((48, 96, 64)):
        Image.effect_noise((width, 40), 50).convert('RGB').save(tmp_path / 'big' / f'{index}.png')
    g = tmp_path / 'g.pth'
    torch.save({'params': build_network(dict(options['network_g'])).state_dict()}, g)
    options['datasets'] = {
        'test_1': options['datasets']['val']
        | {'dataroot_lq': str(tmp_path / 'test_lq.lmdb'), 'dataroot_gt': str(tmp_path / 'test_gt.lmdb')}
        | {'io_backend': {'type': 'lmdb'}},
        'test_2': {'name': 'single', 'type': 'SingleFolderDataset', 'dataroot_lq': str(tmp_path / 'big')}
        | {'io_backend': {'type': 'disk'}},
    }
    options['path']['pretrain_network_g'] = str(g)
    for training_only in ('train', 'network_d', 'logger'):
        del options[training_only]
    tables = checked(options)
    assert set(tables) == {'Pictures', 'Networks', 'Validation'}
    assert [(row['set'], row['files'], row['largest']) for row in tables['Pictures']] == [
        ('test_1:dataroot_lq', 'lmdb 3', '48x40'),
        ('test_1:dataroot_gt', 'lmdb 3', '48x40'),
        ('test_2:dataroot_lq', 'png 3', '96x40'),
    ]
    assert {row['use'] for row in tables['Networks']} == {'frozen'}
    first, second = tables['Validation']
    assert 'gain ' in first['scores']
    assert (second['picture'], second['size']) == (str(tmp_path / 'big' / '1.png'), '96x40')
    assert second['whole set, about (s)'] == pytest.approx(second['seconds'] * (48 + 96 + 64) / 96)


def test_scores_that_are_no_numbers_are_warned_of(
    checked: Callable[..., Tables],
    options: Options,  # noqa: F811
) -> None:
    del options['val']['best']
    options['val']['metrics'] = {
        'psnr': {'type': 'calculate_psnr', 'crop_border': 100},
        'ssim': {'type': 'calculate_ssim', 'crop_border': 15},
        'sound': {'type': 'calculate_ssim', 'crop_border': 14},
    }
    warnings = [row['warning'] for row in checked(options)['Warnings']]
    assert any(line.startswith('val:metrics: psnr of test is nan (no number) for ') for line in warnings)
    assert 'val:metrics:psnr: crop_border 100 leaves 0 pixels of the shortest side in datasets:val, 40; it needs 1' in (
        '\n'.join(warnings)
    )
    assert any(line.startswith('val:metrics:ssim: crop_border 15 leaves 10 pixels') for line in warnings)
    assert not any('sound' in line for line in warnings)


def test_resumed_training_stays_as_it_is(
    checked: Callable[..., Tables],
    stopped: Callable[[Options], list[str]],
    write: Callable[[Options], Path],  # noqa: F811
    run_python: Script,  # noqa: F811
    options: Options,  # noqa: F811
    tmp_path: Path,
) -> None:
    """What a killed training left and newer states are there; ``checked`` and ``stopped`` compare all files."""
    options['logger']['save_checkpoint_freq'] = 2
    options['val']['save_img'] = False
    trained = run_python('-m', 'b2b_basicsr', 'train', '-opt', write(options), '--force_yml', 'train:total_iter=4')
    assert trained.returncode == 0, trained.stderr
    states = tmp_path / 'experiments' / 'tiny' / 'training_states'
    assert {path.name for path in states.glob('*.state')} == {'2.state', '4.state'}
    left = [folder / '.b2b_unfinished-0123.pth' for folder in (states, states.parent / 'models')]
    for path in left:
        path.write_bytes(b'x')
    options['path']['resume_state'] = str(states / '2.state')
    times = {row['what']: row for row in checked(options)['Time']}
    assert times['steps']['times'] == 3

    (states.parent / 'models' / 'net_g_2.pth').rename(tmp_path / 'elsewhere')
    assert 'path:resume_state: ' in stopped(options)[-1]
    assert 'net_g_2.pth: network_g of the training to resume is not there' in stopped(options)[-1]

    for path in left:  # a training would
        clear_leftovers(path.parent)
        assert not path.exists()


def test_missing_state_is_told_before_pictures_are_opened(
    stopped: Callable[[Options], list[str]],
    options: Options,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / 'blurry').mkdir()
    (tmp_path / 'blurry' / '0.png').write_bytes(b'')
    options['datasets']['train']['dataroot_blur'] = str(tmp_path / 'blurry')
    options['path']['resume_state'] = 'no.state'
    (line,) = stopped(options)
    number = (tmp_path / 'tiny.yml').read_text().splitlines().index('  resume_state: no.state') + 1
    assert f'tiny.yml:{number}: path:resume_state: no.state: cannot be read (No such file' in line
