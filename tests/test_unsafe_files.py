"""Whatever file a user names, nothing in it is run, and none fills the memory: it is refused in one line."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import zipfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from b2b_basicsr.archs import NAFNet, SpandrelNet
from b2b_basicsr.checks.safe_loading import load_weights_only
from b2b_basicsr.compat.option_checks import _read
from b2b_basicsr.compat.resume_state import read_state
from b2b_basicsr.errors import UserError
from b2b_basicsr.losses.lpips_network import lpips_network
from b2b_basicsr.losses.vgg_weights import vgg_features
from b2b_basicsr.models.checkpoint import load_weights
from b2b_basicsr.models.frozen_network import frozen_network
from b2b_basicsr.options.option_file import force_option, read_option_file
from b2b_basicsr.restore.network_file import network_from_file


class Harmful:
    """Makes a file when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.folder / 'harm',))


def torch_file(path: Path) -> None:
    torch.save({'params': {'a': torch.ones(1)}, 'state_dict': Harmful(path.parent), 'iter': Harmful(path.parent)}, path)


def old_torch_file(path: Path) -> None:
    torch.save({'params': Harmful(path.parent)}, path, _use_new_zipfile_serialization=False)


def bare_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({'params': Harmful(path.parent)}, protocol=2))


def cut_off(path: Path) -> None:
    torch.save({'params': {'a': torch.ones(1000)}}, path)
    path.write_bytes(path.read_bytes()[:-500])


def packed(path: Path) -> None:
    """Weights of 100 MB in a file of less than one, which torch itself would unpack."""
    written = io.BytesIO()
    torch.save({'params': {'a': torch.zeros(25_000_000)}}, written)
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for member in source.namelist():
            archive.writestr(member, source.read(member))
    assert path.stat().st_size < 10**6


LOADERS: dict[str, Callable[[str], object]] = {
    'pretrain_network_g': lambda path: load_weights(
        NAFNet(width=4, enc_blk_nums=[1], dec_blk_nums=[1]), 'path:pretrain_network_g', path, True, 'params'
    ),
    'pretrain_network_deblur': lambda path: frozen_network(
        {
            'network_deblur': {'type': 'NAFNet', 'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]},
            'path': {'pretrain_network_deblur': path},
        },
        'network_deblur',
        torch.device('cpu'),
    ),
    'resume_state': read_state,
    'b2b restore': lambda path: network_from_file('translator', path),
    'vgg_weights': lambda path: vgg_features('vgg16', path),
    'lpips weights': lambda path: lpips_network('alex', path),
    'SpandrelNet': SpandrelNet,
}


@pytest.mark.parametrize('loader', LOADERS)
@pytest.mark.parametrize('make', [torch_file, old_torch_file, bare_pickle, cut_off])
def test_it_is_refused_in_one_line(make: Callable[[Path], None], loader: str, tmp_path: Path) -> None:
    path = tmp_path / 'net.pth'
    make(path)
    with pytest.raises(UserError) as caught:
        LOADERS[loader](str(path))
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert [file.name for file in tmp_path.iterdir()] == ['net.pth']


def test_a_few_kilobytes_do_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed(tmp_path / 'net.pth')
    monkeypatch.setattr(torch, 'load', lambda *args, **kwargs: pytest.fail('it was unpacked'))
    for loader in LOADERS.values():
        with pytest.raises(UserError) as caught:
            loader(str(tmp_path / 'net.pth'))
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize('name', ['net.safetensors', 'net.SafeTensors'])
def test_safetensors_that_are_none(tmp_path: Path, name: str) -> None:
    for content in (b'', b'text', (2**62).to_bytes(8, 'little') + b'{}', pickle.dumps(Harmful(tmp_path))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match='cannot be read as safetensors'):
            network_from_file('translator', tmp_path / name)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_the_command_says_it_in_one_line(tmp_path: Path) -> None:
    from b2b_basicsr.commands.cli import b2b

    torch_file(tmp_path / 'net.pth')
    Image.new('RGB', (64, 64)).save(tmp_path / 'in.png')
    arguments = ['restore', str(tmp_path / 'in.png'), '-o', str(tmp_path / 'out'), '--direct']
    done = CliRunner().invoke(b2b, [*arguments, '--deblurrer', str(tmp_path / 'net.pth')])
    assert isinstance(done.exception, UserError)
    assert "net.pth' is not read: it holds an object of" in str(done.exception)
    assert not (tmp_path / 'harm').exists()


@pytest.mark.parametrize('trusting', [False, True])
def test_what_other_packages_load_runs_no_code_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusting: bool
) -> None:
    monkeypatch.setattr(os, 'environ', {'TORCH_FORCE_WEIGHTS_ONLY_LOAD': '0'} if trusting else {})
    torch_file(tmp_path / 'net.pth')
    load_weights_only()
    monkeypatch.setattr(os, 'getenv', os.environ.get)
    with contextlib.suppress(pickle.UnpicklingError):
        torch.load(tmp_path / 'net.pth', weights_only=False)
    assert (tmp_path / 'harm').exists() is trusting


# ----------------------------------------------------------------------------------------------------- option files

CODE = [
    '!!python/object/apply:pathlib.Path.touch [[{harm}]]',
    '!!python/object/new:pathlib.Path [{harm}]',
    '!!python/name:os.system',
    '!<tag:yaml.org,2002:python/object/apply:os.system> ["touch {harm}"]',
]


@pytest.mark.parametrize('value', CODE)
def test_an_option_file_that_runs_code(tmp_path: Path, value: str) -> None:
    file = tmp_path / 'options.yml'
    said = value.format(harm=tmp_path / 'harm')
    file.write_text(f'name: x\nmodel_type: Blur2BlurModel\ntrain:\n  total_iter: {said}\n')
    with pytest.raises(UserError) as caught:
        read_option_file(file)
    assert str(caught.value).startswith(f'{file}:4: ')
    assert len(str(caught.value).splitlines()) == 1
    _, mistake = _read(Namespace(opt=str(file), force_yml=()))
    assert isinstance(mistake, UserError), 'before BasicSR reads it'
    assert [path.name for path in tmp_path.iterdir()] == ['options.yml']


@pytest.mark.parametrize(
    'entry',
    [
        'train:betas=[__import__("pathlib").Path("harm").touch()]',
        'train:betas=[open("harm","w")]',
        'train:x"] or __import__("pathlib").Path("harm").touch() or opt["name=1',
    ],
)
def test_a_forced_option_that_runs_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        force_option({'name': 'x', 'train': {'betas': [0.9]}}, entry, 'options.yml')
    assert str(caught.value).startswith(f'--force_yml {entry}: ')
    assert not list(tmp_path.iterdir())


def test_a_forced_list_is_taken() -> None:
    opt: dict[str, Any] = {'train': {'betas': [0.9]}}
    force_option(opt, 'train:betas=[0.5, 1e-4, None]', 'options.yml')
    assert opt['train']['betas'] == [0.5, 1e-4, None]
