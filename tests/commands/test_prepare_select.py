from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from b2b_basicsr.commands.prepare_select_command import select
from b2b_basicsr.errors import UserError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'b').mkdir()
    for place, width in enumerate((1, 3, 7, 15)):
        noise = np.random.default_rng(place).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(np.asarray(cv2.blur(noise, (width, 1)))).save(tmp_path / 'b' / f'{place}.png')
    return tmp_path / 'b'


def run(*arguments: str) -> Result:
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        return CliRunner().invoke(select, ['--resize', '0', *arguments])


def test_without_a_rule_it_only_reports(folder: Path, tmp_path: Path) -> None:
    result = run('b', '-o', 'report')
    assert result.exit_code == 0, result.output
    assert 'Only scored' in result.output
    assert '50%' in result.output
    assert sorted(path.name for path in (tmp_path / 'report').iterdir()) == [
        'histogram.png',
        'prepared.json',
        'scores.csv',
    ]


def test_without_out_a_rule_is_tried_and_then_kept_with_the_scores(folder: Path, tmp_path: Path) -> None:
    tried = run('b', '--keep-share', '0.5')
    assert tried.exit_code == 0, tried.output
    assert '2 of 4 would be kept' in tried.output
    (report,) = (tmp_path / 'results' / 'select').iterdir()
    assert report.name.endswith('_b')
    done = run('b', '--keep-share', '0.5', '--scores', str(report), '-o', 'out')
    assert done.exit_code == 0, done.output
    assert '2 of 4 kept' in done.output
    assert sorted(path.name for path in (tmp_path / 'out' / 'blur').iterdir()) == ['2.png', '3.png']
    again = run('b', '--keep-share', '0.25', '-o', 'out')
    assert isinstance(again.exception, UserError)
    assert '--force' in str(again.exception)
    assert run('b', '--keep-share', '0.25', '-o', 'out', '--force').exit_code == 0
    assert [path.name for path in (tmp_path / 'out' / 'blur').iterdir()] == ['3.png']


def test_unreadable_pictures_left_out_are_told_by_exit_status_1(folder: Path, tmp_path: Path) -> None:
    (folder / '9.jpg').write_text('no picture')
    refused = run('b', '--keep-share', '0.5', '-o', 'out')
    assert isinstance(refused.exception, UserError)
    assert '9.jpg' in str(refused.exception)
    assert '\n' not in str(refused.exception)
    result = run('b', '--keep-share', '0.5', '-o', 'out', '--skip-unreadable')
    assert result.exit_code == 1
    assert 'left out: ' in result.output
    assert (tmp_path / 'out' / 'blur' / '3.png').is_file()


@pytest.mark.parametrize(
    ('arguments', 'told'),
    [
        (['nowhere'], "no folder 'nowhere'"),
        (['b', '--by', 'psnr', '--keep-share', '0.5'], '--sharp'),
        (['b', '--threshold', '0.99999', '-o', 'out'], 'none of 4 pictures has blur >= 0.99999'),
        (['b', '--keep-share', '0.5', '--threshold', '0.5'], 'one of the two'),
        (['b', '--sharp', 'nowhere'], '--sharp: no folder'),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(
    folder: Path, tmp_path: Path, arguments: list[str], told: str
) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, UserError)
    assert told in str(result.exception)
    assert '\n' not in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ['b']
