from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from b2b_basicsr.commands.bench_gain_command import gain
from b2b_basicsr.commands.cli import main
from b2b_basicsr.gain.recipes import SIZES
from tests.gain.conftest import make_photos
from tests.gain.test_results import row
from tests.report.test_run_report import Content


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--camera', 'phone'], "'phone' is not one of 'shake', 'defocus', 'turning'"),
        (['--known', 'phone'], "'phone' is not one of 'horizontal', "),
        (['--variant', 'best'], "'best' is not one of 'recipe', "),
        (['--stage', 'train'], "'train' is not one of 'data', 'deblur', 'kernel', 'translate', 'oracle', 'score'"),
        (['--size', 'huge'], f"'huge' is not one of {', '.join(map(repr, SIZES))}"),
        (['--seed', '-1'], '-1 is not in the range 0<=x<=2147483647'),
        (['--seed', str(2**31)], '2147483648 is not in the range 0<=x<=2147483647'),
        (['--photos', 'nowhere'], "Directory 'nowhere' does not exist"),
        (['--merge', 'nowhere.json'], "File 'nowhere.json' does not exist"),
    ],
)
def test_what_is_not_there_is_told(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(gain, ['-o', str(tmp_path / 'out'), *arguments])
    assert result.exit_code == 2
    assert message in ' '.join(result.output.split())
    assert not (tmp_path / 'out').exists()


def test_merged_results_are_told_in_a_table_and_as_json(tmp_path: Path) -> None:
    elsewhere = tmp_path / 'elsewhere.json'
    elsewhere.write_text(json.dumps({'rows': [row(gain=2.345).model_dump()]}))
    result = CliRunner().invoke(gain, ['-o', str(tmp_path / 'out'), '--merge', str(elsewhere), '--json'])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert json.loads(lines[-1]) == [row(gain=2.345).model_dump()]
    assert any(line.startswith('shake ') and '+2.3' in line for line in lines)
    assert 'gain: +2.3' in lines[-2]


def test_a_stopped_run_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> list[object]:
        raise KeyboardInterrupt

    monkeypatch.setattr('b2b_basicsr.gain.run.run_gain', stopped)
    monkeypatch.setattr('sys.argv', ['b2b', 'bench', 'gain', '-o', str(tmp_path / 'out')])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err.split('\n') == ['stopped; the same command goes on', '']


@pytest.mark.slow
def test_the_whole_of_it_at_size_tiny_and_nothing_the_second_time(tmp_path: Path) -> None:
    photos, out = make_photos(tmp_path / 'photos'), tmp_path / 'out'
    arguments = ['bench', 'gain', '-o', str(out), '--camera', 'defocus', '--json']

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, '-m', 'b2b_basicsr', *arguments, *more]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    first = run('--photos', str(photos), '--size', 'tiny')
    assert first.returncode == 0, first.stderr
    (measured,) = json.loads(first.stdout.splitlines()[-1])
    kinds = {'blurry', 'direct', 'restored', 'oracle', 'known_blurry', 'known_deblurred', 'known_through_g'}
    assert measured['means'].keys() == kinds
    assert all(values.keys() >= {'psnr', 'ssim'} for values in measured['means'].values())
    assert measured['gain'] == pytest.approx(
        measured['means']['restored']['psnr'] - measured['means']['direct']['psnr'], abs=1e-6
    )
    assert json.loads((out / 'results.json').read_text())['rows'] == [measured]
    page = Content(out / 'index.html')
    assert page.layers() == ['lq', 'direct', 'translated', 'restored', 'gt'] * 2
    assert sum(tag == 'svg' for tag, _ in page.tags) == 1

    logs = {path: path.stat().st_mtime_ns for path in (out / 'logs').iterdir()}
    second = run()
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout.splitlines()[-1]) == [measured]
    assert second.stdout.startswith('Nothing to do: all of it is done already\n')
    assert {path: path.stat().st_mtime_ns for path in (out / 'logs').iterdir()} == logs
