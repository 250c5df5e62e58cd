"""Weights that are in no ``path: pretrain_network_*``: SpandrelNet's own, and LPIPS's."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import basicsr.utils.options
import pytest
import torch

from tests.losses.conftest import filled_torch_home, torch_home  # noqa: F401  fixtures of both folders
from tests.torch_hub import SQUEEZENET

Options = dict[str, Any]
Write = Callable[[Options], Path]


@pytest.fixture
def parse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write) -> Callable[..., Options]:
    """Reads an option file as BasicSR's scripts do."""
    monkeypatch.setattr(sys, 'excepthook', sys.excepthook)
    monkeypatch.chdir(tmp_path)

    def parse_options(options: Options, is_train: bool = True) -> Options:
        monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', str(write(options))])
        opt: Options = basicsr.utils.options.parse_options(str(tmp_path), is_train=is_train)[0]
        return opt

    return parse_options


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty ``TORCH_HOME`` and no network."""

    def refused(*args: Any, **kwargs: Any) -> None:
        raise OSError('no network')

    home = tmp_path_factory.mktemp('torch')
    monkeypatch.setenv('TORCH_HOME', str(home))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', refused)
    return home


def with_spandrel(options: Options, data: Path, **changes: Any) -> Options:
    options = deepcopy(options)
    options['network_deblur'] = {'type': 'SpandrelNet', 'path': str(data / 'deblur.pth'), **changes}
    del options['path']['pretrain_network_deblur']
    return options


def assert_one_line(parse: Callable[..., Options], options: Options, capsys: pytest.CaptureFixture[str]) -> str:
    before = sorted(path for path in Path.cwd().rglob('*') if path.suffix != '.yml')
    with pytest.raises(SystemExit) as end:
        parse(options)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert sorted(path for path in Path.cwd().rglob('*') if path.suffix != '.yml') == before
    return line


def test_spandrelnet_deblurs_by_its_path_alone(options: Options, data: Path, parse: Callable[..., Options]) -> None:
    assert parse(with_spandrel(options, data))['network_deblur']['type'] == 'SpandrelNet'


@pytest.mark.parametrize('is_train', [True, False])
def test_spandrelnet_translates(options: Options, data: Path, parse: Callable[..., Options], is_train: bool) -> None:
    options['network_g'] = {'type': 'SpandrelNet', 'path': str(data / 'deblur.pth')}
    if not is_train:
        options['datasets'] = {'test_1': options['datasets']['val']}
    assert parse(options, is_train)['is_train'] == is_train


def test_spandrelnet_with_weights_on_top(
    options: Options, data: Path, parse: Callable[..., Options], capsys: pytest.CaptureFixture[str]
) -> None:
    options = with_spandrel(options, data)
    options['path']['pretrain_network_deblur'] = str(data / 'deblur.pth')
    parse(options)
    torch.save({'params': {'a': torch.ones(1)}}, 'other.pth')
    options['path']['pretrain_network_deblur'] = 'other.pth'
    line = assert_one_line(parse, options, capsys)
    assert 'path:pretrain_network_deblur' in line
    assert 'another network than this SpandrelNet' in line


@pytest.mark.parametrize(
    ('path', 'message'),
    [
        ('nowhere.pth', "network_deblur: SpandrelNet: path: no file 'nowhere.pth'"),
        ('unknown.pth', "network_deblur: SpandrelNet: path: spandrel recognises no network in 'unknown.pth'"),
        (None, 'network_deblur:path: ~: must be a text'),
    ],
)
def test_wrong_path_of_spandrelnet(
    path: Any,
    message: str,
    options: Options,
    data: Path,
    parse: Callable[..., Options],
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.save({'params': {'a': torch.ones(1)}}, 'unknown.pth')
    assert (
        assert_one_line(parse, with_spandrel(options, data, path=path), capsys)
        .partition(f'{Path.cwd()}/tiny.yml:')[2]
        .partition(': ')[2]
        .startswith(message)
    )


LOSS = {'type': 'LPIPSLoss', 'net': 'squeeze'}
METRIC = {'type': 'calculate_lpips', 'net': 'squeeze'}


def test_lpips_weights_that_are_there(
    options: Options,
    parse: Callable[..., Options],
    torch_home: Path,  # noqa: F811
) -> None:
    options['network_g'] = {'type': 'NAFNet', 'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]}
    options['train']['lpips_opt'] = LOSS
    options['val']['metrics']['lpips'] = METRIC
    options['val']['best'] = 'lpips'
    parse(options)


@pytest.mark.parametrize(('key', 'model'), [('train:lpips_opt', 'squeezenet1_1'), ('val:metrics:lpips', 'alexnet')])
def test_lpips_weights_that_are_missing(
    key: str,
    model: str,
    options: Options,
    parse: Callable[..., Options],
    offline: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if key == 'train:lpips_opt':
        options['train']['lpips_opt'] = LOSS
    else:
        options['val']['metrics']['lpips'] = {'type': 'calculate_lpips'}
    line = assert_one_line(parse, options, capsys)
    assert f': {key}: LPIPS: weights: {model} is not in ' in line
    assert str(offline / 'hub' / 'checkpoints') in line


@pytest.mark.parametrize(
    ('section', 'changes', 'message'),
    [
        ('loss', {'net': 'vgg19'}, "train:lpips_opt:net: 'vgg19': must be 'alex', 'vgg' or 'squeeze'"),
        ('loss', {'nett': 'vgg'}, r'train:lpips_opt:nett: unknown key; did you mean net\?'),
        ('metric', {'net': 'vgg19'}, "val:metrics:lpips:net: 'vgg19': must be 'alex', 'vgg' or 'squeeze'"),
        ('metric', {'nett': 'vgg'}, r'val:metrics:lpips:nett: unknown key; did you mean net\?'),
    ],
)
def test_wrong_keys_of_lpips(
    section: str,
    changes: Options,
    message: str,
    options: Options,
    parse: Callable[..., Options],
    torch_home: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    if section == 'loss':
        options['train']['lpips_opt'] = {**LOSS, **changes}
    else:
        options['val']['metrics']['lpips'] = {**METRIC, **changes}
    line = assert_one_line(parse, options, capsys)
    assert re.search(f':[0-9]+: {message}', line), line


def test_lpips_of_crops_that_are_too_small(
    options: Options,
    parse: Callable[..., Options],
    torch_home: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    """MIMO-UNet's smallest output of a crop of 32 pixels has 8."""
    assert (torch_home / 'hub' / 'checkpoints' / SQUEEZENET).is_file()
    options['train']['lpips_opt'] = LOSS
    line = assert_one_line(parse, options, capsys)
    assert ': train:lpips_opt: LPIPSLoss needs pictures of 17 pixels at least' in line
    assert 'has 8; take a larger gt_size' in line
