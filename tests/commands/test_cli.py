from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from b2b_basicsr import __version__
from b2b_basicsr.commands.cli import b2b, main
from b2b_basicsr.shipped_options import shipped_option_files, shipped_schema


def test_help_lists_the_commands_and_version_is_told() -> None:
    result = CliRunner().invoke(b2b, ['--help'])
    assert result.exit_code == 0
    assert all(command in result.output for command in ('demo', 'options', 'train', 'test'))
    assert __version__ in CliRunner().invoke(b2b, ['--version']).output


@pytest.mark.parametrize('command', ['demo', 'options'])
def test_each_command_has_help(command: str) -> None:
    result = CliRunner().invoke(b2b, [command, '--help'])
    assert result.exit_code == 0
    assert 'Usage:' in result.output


def test_help_does_not_wait_for_torch() -> None:
    program = (
        'import sys; from click.testing import CliRunner; from b2b_basicsr.commands.cli import b2b; '
        "CliRunner().invoke(b2b, ['--help']); print(sorted({'torch', 'basicsr', 'cv2'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == '[]'


def test_options_are_listed_with_what_they_are() -> None:
    output = CliRunner().invoke(b2b, ['options']).output
    for file in shipped_option_files():
        assert file.name in output
    assert 'b2b_rb2v.yml' in output
    assert "Blur2Blur from RB2V's blur to GoPro's" in output


def test_options_are_laid_out_and_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / 'mine'
    runner = CliRunner()
    assert runner.invoke(b2b, ['options', '--copy', str(target)]).exit_code == 0
    laid_out = {path.name: path.read_bytes() for path in target.iterdir()}
    shipped = [*shipped_option_files(), shipped_schema()]
    assert laid_out == {file.name: file.read_bytes() for file in shipped}
    (target / 'b2b_rb2v.yml').write_text('name: mine')
    assert runner.invoke(b2b, ['options', '--copy', str(target)]).exit_code == 1
    assert (target / 'b2b_rb2v.yml').read_text() == 'name: mine'
    monkeypatch.setattr(sys, 'argv', ['b2b', 'options', '--copy', str(target)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert (
        capsys.readouterr().err
        == f'error: {target}: b2b_rb2v.yml is there and differs; give another folder, or --force\n'
    )
    assert runner.invoke(b2b, ['options', '--copy', '--force', str(target)]).exit_code == 0
    assert (target / 'b2b_rb2v.yml').read_text() != 'name: mine'


def test_unknown_command_is_a_mistake_of_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, 'argv', ['b2b', 'tran'])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2


@pytest.mark.parametrize('command', ['train', 'test'])
def test_pipelines_have_basicsrs_own_help(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, 'argv', ['b2b', command, '--help'])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    output = capsys.readouterr().out
    assert f'usage: b2b {command}' in output
    for flag in ('-opt', '--launcher', '--auto_resume', '--debug', '--force_yml'):
        assert flag in output


def test_missing_option_file_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['b2b', 'train', '-opt', 'nowhere.yml'])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith('error: nowhere.yml: ')
    assert err.count('\n') == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['nosuch'], "No such command 'nosuch'"),
        (['prepare', 'gopro', 'nosuch.zip'], "Path 'nosuch.zip' does not exist"),
        (['prepare', 'known'], "Missing option '-opt'"),
        (['demo', '--seed', 'x'], "'x' is not a valid integer"),
    ],
)
def test_wrong_usage_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    monkeypatch.setattr(sys, 'argv', ['b2b', *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    output, error = capsys.readouterr()
    assert output == ''
    assert error.startswith('error: ')
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(('arguments', 'status'), [(['--version'], 0), (['prepare', '--help'], 0), ([], 2)])
def test_help_and_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int
) -> None:
    monkeypatch.setattr(sys, 'argv', ['b2b', *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert (end.value.code or 0) == status
    assert 'b2b' in ''.join(capsys.readouterr())
