from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import basicsr
import click
import pytest
import torch
import yaml
from click.testing import CliRunner

from b2b_basicsr import __version__
from b2b_basicsr.commands.info_command import info
from b2b_basicsr.compat import applied
from b2b_basicsr.errors import UserError

Options = dict[str, Any]
Run = Callable[..., Options]


@pytest.fixture
def option_file(tmp_path: Path) -> Path:
    weights = tmp_path / 'g.pth'
    weights.write_bytes(bytes(3 * 2**20))
    options: Options = {
        'name': 'tiny',
        'model_type': 'Blur2BlurModel',
        'network_g': {'type': 'MIMOUNet', 'num_res': 1, 'base_channel': 8},
        'network_deblur': {'type': 'NAFNet', 'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]},
        'path': {
            'pretrain_network_g': str(weights),
            'pretrain_network_deblur': str(tmp_path / 'missing.pth'),
            'strict_load_g': True,
        },
    }
    path = tmp_path / 'test.yml'
    path.write_text(yaml.safe_dump(options))
    return path


@pytest.fixture
def told() -> Run:
    """The tables of the last line, by caption."""

    def tables_of(*arguments: str) -> Options:
        result = CliRunner().invoke(info, [*arguments, '--json'], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        content = json.loads(result.output.splitlines()[-1])
        return {table['caption'].partition(',')[0]: table['rows'] for table in content['tables']}

    return tables_of


def test_without_an_option_file_it_is_the_environment(told: Run) -> None:
    tables = told()
    assert set(tables) == {'Versions', 'Mends of basicsr', 'Devices'}
    versions = {row['package']: row['version'] for row in tables['Versions']}
    assert versions['b2b_basicsr'] == __version__
    assert versions['basicsr'] == basicsr.__version__
    assert {'python', 'torch', 'torchvision'} <= versions.keys()
    made = [row['mend'] for row in tables['Mends of basicsr'] if row['here'] == 'made']
    assert made == [mend.name for mend in applied()]
    assert 'option_checks' in made
    assert len(tables['Devices']) == 1 + torch.cuda.device_count()
    assert tables['Devices'][0]['device'] == 'cpu'


def test_networks_and_weights_of_a_test_file(told: Run, option_file: Path, tmp_path: Path) -> None:
    tables = told('-opt', str(option_file), '--size', '96x128')
    assert [(row['network'], row['type'], row['input']) for row in tables['Networks']] == [
        ('network_g', 'MIMOUNet', '3x96x128'),
        ('network_deblur', 'NAFNet', '3x96x128'),
    ]
    assert all(row['multiply-adds (G)'] > 0 for row in tables['Networks'])
    assert tables['Weights'] == [
        {'option': 'path:pretrain_network_deblur', 'file': str(tmp_path / 'missing.pth'), 'state': 'missing'},
        {'option': 'path:pretrain_network_g', 'file': str(tmp_path / 'g.pth'), 'state': 'there, 3.0 MiB'},
    ]


def test_entries_are_forced_as_in_basicsr(told: Run, option_file: Path) -> None:
    (before, _), (after, _) = (
        told('-opt', str(option_file), '--size', '64x64', *more)['Networks']
        for more in ((), ('--force_yml', 'network_g:base_channel=16', 'network_deblur:width=8'))
    )
    assert after['parameters (M)'] > 3 * before['parameters (M)']


def test_people_see_tables(option_file: Path) -> None:
    result = CliRunner().invoke(info, ['-opt', str(option_file), '--size', '64x64'], catch_exceptions=False)
    lines = result.output.splitlines()
    assert lines[0] == f'b2b_basicsr {__version__}: {option_file}'
    assert any(line.startswith('network_g ') for line in lines)
    assert not any(line.startswith('{') for line in lines)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['-opt', 'nowhere.yml'], 'nowhere.yml: the option file cannot be read'),
        (['--force_yml', 'scale=2'], '--force_yml changes an option file: give -opt'),
        (['more'], 'more: unexpected'),
    ],
)
def test_mistakes(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(info, arguments)
    assert isinstance(result.exception, UserError)
    assert str(result.exception).startswith(message)


def test_mistakes_in_the_file(option_file: Path) -> None:
    result = CliRunner().invoke(info, ['-opt', str(option_file), '--force_yml', 'network_g:type=MIMOUNett'])
    assert str(result.exception) == (
        "--force_yml network_g:type=MIMOUNett: network_g:type: 'MIMOUNett' is not registered; did you mean MIMOUNet?"
    )
    result = CliRunner().invoke(info, ['-opt', str(option_file), '--force_yml', 'path:pretrain_network_g=3'])
    assert str(result.exception).endswith('path:pretrain_network_g: 3 is no path; give a file, or ~')


@pytest.mark.parametrize('size', ['720', '0x720', '7e2x8', '1x2x3', 'x'])
def test_a_size_is_two_numbers(size: str) -> None:
    with pytest.raises(click.BadParameter, match='give height and width in pixels, as 720x1280'):
        info.main(['--size', size], standalone_mode=False)
