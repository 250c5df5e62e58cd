from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from basicsr.utils.options import parse_options

from b2b_basicsr.compat import option_checks
from b2b_basicsr.compat.option_checks import refuse_unknown_model_type, register_option_check
from b2b_basicsr.compat.our_option_files import is_our_option_file
from b2b_basicsr.errors import UserError
from b2b_basicsr.options.drawn_seed import DrawnSeed

Parse = Callable[..., tuple[dict[str, Any], argparse.Namespace]]
Complain = Callable[..., str]


@pytest.fixture(autouse=True)
def no_checks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    checks: list[Any] = []
    monkeypatch.setattr(option_checks, 'OPTION_CHECKS', checks)
    monkeypatch.setattr(option_checks, 'SECTION_CHECKS', [])
    return checks


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Parse:
    """Return a function that has BasicSR parse an option file, given as text or as options."""

    def run(given: Any, *arguments: str, is_train: bool = True) -> tuple[dict[str, Any], argparse.Namespace]:
        path = tmp_path / 'file.yml'
        path.write_text(given if isinstance(given, str) else yaml.safe_dump(given))
        monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', str(path), *arguments])
        result: tuple[dict[str, Any], argparse.Namespace] = parse_options(str(tmp_path / 'root'), is_train=is_train)
        return result

    return run


@pytest.fixture
def complaint(parse: Parse, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Complain:
    """Return a function that gives the one line of an option file's mistake, without ``error: `` and the folder."""

    def run(given: Any, *arguments: str, **keywords: Any) -> str:
        with pytest.raises(SystemExit) as end:
            parse(given, *arguments, **keywords)
        assert end.value.code == 2
        said = capsys.readouterr().err
        assert said.startswith('error: ')
        assert said.count('\n') == 1
        assert not (tmp_path / 'root').exists()
        return said.removeprefix('error: ').replace(f'{tmp_path}/', '').strip()

    return run


@pytest.fixture
def ours(options: dict[str, Any]) -> dict[str, Any]:
    """An option file of ours."""
    return {**options, 'model_type': 'Blur2BlurModel'}


def test_which_files_are_ours(options: dict[str, Any]) -> None:
    assert not is_our_option_file(options)
    assert is_our_option_file({**options, 'model_type': 'Blur2BlurModel'})
    assert is_our_option_file({'datasets': {'train': {'type': 'UnpairedBlurDataset'}}})
    for odd in ({}, {'datasets': None}, {'datasets': ['UnpairedBlurDataset']}, {'model_type': ['Blur2BlurModel']}):
        assert not is_our_option_file(odd)


def test_a_check_sees_parsed_options_of_ours_alone(
    parse: Parse, ours: dict[str, Any], options: dict[str, Any], no_checks: list[Any]
) -> None:
    seen: list[Any] = []

    @register_option_check
    def check(opt: dict[str, Any], args: argparse.Namespace) -> None:
        seen.append((opt['model_type'], opt['is_train'], opt['path']['models'], args.auto_resume))

    register_option_check(check)
    assert no_checks == [check]
    opt, _ = parse(ours, '--auto_resume')
    assert seen == [('Blur2BlurModel', True, opt['path']['models'], True)]
    parse(options)
    assert len(seen) == 1


def test_a_complaint_of_a_check_is_one_line(complaint: Complain, ours: dict[str, Any]) -> None:
    @register_option_check
    def check(opt: dict[str, Any], args: argparse.Namespace) -> None:
        raise UserError('datasets:train:gt_size: is odd')

    line = complaint(ours)
    number, _, said = line.removeprefix('file.yml:').partition(': ')
    assert said == 'datasets:train:gt_size: is odd'
    assert yaml.safe_dump(ours).splitlines()[int(number) - 1].strip() == 'gt_size: 16'


def test_a_fault_of_a_check_is_a_traceback(parse: Parse, ours: dict[str, Any]) -> None:
    @register_option_check
    def check(opt: dict[str, Any], args: argparse.Namespace) -> None:
        raise KeyError('a bug')

    with pytest.raises(KeyError, match='a bug'):
        parse(ours)


def test_unreadable_files(complaint: Complain, tmp_path: Path) -> None:
    assert complaint('name: x\nname: [1,\n').startswith('file.yml:3:1: the option file is not valid YAML: ')
    assert complaint('only words') == 'file.yml: the option file holds no options (KEY: VALUE lines): check -opt'
    assert complaint('') == 'file.yml: the option file holds no options (KEY: VALUE lines): check -opt'


def test_files_that_are_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'picture.png').write_bytes(b'\x89PNG\xff\xfe')
    for path, why in (
        (tmp_path / 'gone.yml', 'No such file or directory'),
        (tmp_path, 'Is a directory'),
        (tmp_path / 'picture.png', 'not a text file'),
    ):
        monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', str(path)])
        with pytest.raises(SystemExit) as end:
            parse_options(str(tmp_path), is_train=True)
        assert end.value.code == 2
        said = capsys.readouterr().err
        assert said.startswith(f'error: {path}: the option file ')
        assert why in said


@pytest.mark.parametrize('key', ['datasets', 'path', 'train', 'logger'])
@pytest.mark.parametrize('value', ['missing', None, 'text'])
def test_sections_that_every_training_has(complaint: Complain, ours: dict[str, Any], key: str, value: Any) -> None:
    if value == 'missing':
        del ours[key]
    else:
        ours[key] = value
    place = 'file.yml' if value == 'missing' else f'file.yml:{sorted_line(ours, key)}'
    assert complaint(ours) == f'{place}: {key}: must be there, a section of KEY: VALUE lines'


def sorted_line(options: dict[str, Any], key: str) -> int:
    """The line of a key at the top level, as ``yaml.safe_dump`` writes it."""
    lines = yaml.safe_dump(options).splitlines()
    return next(number for number, line in enumerate(lines, start=1) if line.startswith(f'{key}:'))


def test_a_test_needs_no_training_sections(parse: Parse, ours: dict[str, Any]) -> None:
    del ours['train'], ours['logger']
    assert parse(ours, is_train=False)[0]['is_train'] is False


def test_other_keys_that_basicsr_takes_for_granted(complaint: Complain, ours: dict[str, Any]) -> None:
    nameless = {**ours, 'name': 7}
    assert complaint(nameless).startswith(
        f'file.yml:{sorted_line(nameless, "name")}: name: 7: must be a text, in the file in quotes'
    )
    assert complaint({key: ours[key] for key in ours if key != 'name'}).startswith('file.yml: name: must be there')
    assert complaint({key: ours[key] for key in ours if key != 'num_gpu'}).startswith('file.yml: num_gpu: ')
    assert complaint({**ours, 'datasets': {'train': None}}).startswith('file.yml:2: datasets:train: must be a section')


@pytest.mark.parametrize(
    ('entry', 'why'),
    [
        ('train', 'must be KEY=VALUE or SECTION:KEY=VALUE'),
        ('=3', 'must be KEY=VALUE or SECTION:KEY=VALUE'),
        ('name=a=b', 'must be KEY=VALUE or SECTION:KEY=VALUE'),
        ('trian:total_iter=3', 'file.yml has no section trian'),
        ('train:optim:lr=3', 'file.yml has no section train:optim'),
        ('name:x=3', 'file.yml has no section name'),
        ('train:betas=[0.9,', 'the value cannot be understood'),
    ],
)
def test_force_yml(complaint: Complain, ours: dict[str, Any], entry: str, why: str) -> None:
    said = complaint(ours, '--force_yml', entry)
    assert said.startswith(f'--force_yml {entry}: ')
    assert why in said


@pytest.mark.parametrize('name', ['DeblurModle', None, ['x'], ...])
def test_a_model_that_nobody_knows_beside_a_network_of_ours(
    complaint: Complain, options: dict[str, Any], name: Any
) -> None:
    options |= {'network_g': {'type': 'NAFNet'}, 'model_type': name}
    if name is ...:
        del options['model_type']
    assert 'model_type: ' in complaint(options)


def test_anybodys_misspelt_model_is_told_before_it_is_trained(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'file.yml'
    path.write_text(yaml.safe_dump({**options, 'model_type': 'SRModle'}))
    monkeypatch.setattr(sys, 'argv', ['b2b train', '-opt', str(path)])
    with pytest.raises(
        UserError, match=r"file\.yml:\d+: model_type: 'SRModle' is not registered; did you mean SRModel"
    ):
        refuse_unknown_model_type()
    monkeypatch.setattr(sys, 'argv', [*sys.argv, '--force_yml', 'model_type=SRModel'])
    refuse_unknown_model_type()


def test_debug_needs_val_too(parse: Parse, complaint: Complain, ours: dict[str, Any]) -> None:
    assert 'val: a training that is debugged (--debug' in complaint({**ours, 'val': None}, '--debug')
    parse({**ours, 'val': None})


def test_merge_keys_are_told(complaint: Complain, ours: dict[str, Any]) -> None:
    text = yaml.safe_dump(ours) + 'a: &a {x: 1}\nb: {<<: *a}\n'
    assert 'BasicSR does not read merge keys (<<): write the keys out' in complaint(text)


def test_force_yml_is_applied_before_the_checks(parse: Parse, complaint: Complain, ours: dict[str, Any]) -> None:
    assert parse(ours, '--force_yml', 'train:total_iter=3', 'name=other')[0]['train']['total_iter'] == 3
    assert complaint(ours, '--force_yml', 'name=2024').startswith('--force_yml name=2024: name: 2024: must be a text')


def test_files_of_others_end_as_before(parse: Parse, options: dict[str, Any]) -> None:
    opt, _ = parse(options)
    assert opt['name'] == 'tiny'
    del options['name']
    with pytest.raises(KeyError, match='name'):
        parse(options)
    with pytest.raises(ValueError, match='unpack'):
        parse({**options, 'name': 'tiny'}, '--force_yml', 'train')


def test_a_wrong_command_line_is_left_to_basicsr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, 'argv', ['train.py'])
    with pytest.raises(SystemExit):
        parse_options('root')
    assert 'the following arguments are required: -opt' in capsys.readouterr().err


def test_sections_of_one_alias_become_two(parse: Parse, ours: dict[str, Any]) -> None:
    """BasicSR takes ``type`` out of ``optim_g``, and would miss it in ``optim_d``."""
    ours['train']['optim_d'] = ours['train']['optim_g']
    assert '&id' in yaml.safe_dump(ours)
    opt, _ = parse(ours)
    assert opt['train']['optim_g'] == opt['train']['optim_d']
    assert opt['train']['optim_g'] is not opt['train']['optim_d']


def test_code_in_somebody_elses_file_is_basicsrs_affair(parse: Parse, options: dict[str, Any]) -> None:
    text = yaml.safe_dump(options) + 'odd: !!python/tuple [1, 2]\n'
    opt, _ = parse(text)
    assert opt['odd'] == (1, 2)


def test_code_in_a_file_of_ours_is_refused(complaint: Complain, ours: dict[str, Any]) -> None:
    assert 'could run code' in complaint(yaml.safe_dump(ours) + 'odd: !!python/name:os.system\n')


@pytest.mark.parametrize('seed', [None, 5])
def test_a_seed_that_no_file_has_named_is_marked(parse: Parse, ours: dict[str, Any], seed: int | None) -> None:
    opt, _ = parse({**ours, 'manual_seed': seed})
    assert isinstance(opt['manual_seed'], DrawnSeed) == (seed is None)
    opt, _ = parse({**ours, 'manual_seed': seed}, '--force_yml', 'manual_seed=6')
    assert not isinstance(opt['manual_seed'], DrawnSeed)
