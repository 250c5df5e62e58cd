from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from matplotlib.figure import Figure
from PIL import Image

from b2b_basicsr.archs.nafnet_local_arch import NAFNetLocal
from b2b_basicsr.commands.rank_known_command import rank_known
from b2b_basicsr.errors import UserError
from tests.rank_known.blurred_sets import write_pairs, write_set


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path / 'b', range(6), (7, 1))
    write_set(tmp_path / 's', range(10, 16), None)
    write_pairs(tmp_path / 'rows', range(20, 24), (9, 1))
    write_pairs(tmp_path / 'wide', range(30, 34), (21, 21))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(rank_known, ['--blurry', 'b', '--sharp', 's', *arguments])


def test_table_json_and_curves(folder: Path) -> None:
    result = run('wide', 'near=rows', '-o', 'out', '--json')
    assert result.exit_code == 0, result.output
    *_, last = result.stdout.strip().splitlines()
    content = json.loads(last)
    assert [row['known set'] for row in content['ranking']] == ['near', 'wide']
    assert content['target']['pictures'] == {'blurry': 6, 'sharp': 6}
    assert json.loads((folder / 'out' / 'ranking.json').read_text()) == content
    with Image.open(folder / 'out' / 'curves.png') as picture:
        assert picture.width > picture.height > 300
    lines = result.stdout.splitlines()
    assert lines[2].split()[:3] == ['1', 'near', '4']
    assert 'direct' not in lines[0]


def test_names_stand_as_given_in_table_and_legend(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, 'savefig', lambda figure, *_, **__: drawn.append(figure))
    result = run('0.125=rows', '_wide=wide', '-o', 'out')
    assert result.exit_code == 0, result.output
    assert [line.split()[1] for line in result.stdout.splitlines()[2:4]] == ['0.125', '_wide']
    legend = drawn[0].axes[-1].get_legend()
    assert legend is not None
    assert [text.get_text().strip() for text in legend.get_texts()] == ['0.125', '_wide', 'target']


def test_a_result_that_cannot_be_written_is_printed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / 'out' / 'ranking.json').mkdir(parents=True)
    result = run('rows', '-o', 'out', '--json')
    assert isinstance(result.exception, UserError)
    assert 'out: cannot be written' in str(result.exception)
    assert json.loads(result.stdout.strip().splitlines()[-1])['ranking'][0]['known set'] == 'rows'
    measured: list[object] = []
    monkeypatch.setattr('b2b_basicsr.rank_known.ranking.rank_known', lambda *arguments: measured.append(arguments))
    result = run('rows', '-o', 'b/000.png/out')
    assert 'cannot be written' in str(result.exception)
    assert not measured


def test_deblurrers_add_what_they_do_without_g(folder: Path) -> None:
    torch.save(NAFNetLocal(width=4, enc_blk_nums=[1], middle_blk_num=1, dec_blk_nums=[1]).state_dict(), 'net.pth')
    given = ('--deblurrer', 'rows=net.pth', '--deblurrer', 'wide=net.pth', '--device', 'cpu')
    result = run('rows', 'wide', *given, '--by', 'gain', '--pictures', '2', '--json')
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout.strip().splitlines()[-1])['ranking']
    assert rows[0]['gain'] >= rows[1]['gain']
    assert rows[0]['gain'] == pytest.approx(rows[0]['restored'] - rows[0]['direct'])
    assert [row['pairs'] for row in rows] == [2, 2]


@pytest.mark.parametrize(
    ('arguments', 'told'),
    [
        (('nowhere',), 'no folder'),
        (('rows', '--blurry', 'nowhere'), '--blurry'),
        (('rows', '--blurry', ''), '--blurry: no path'),
        (('rows', '--device', 'cpu'), '--device: nothing but deblurrers'),
        (('rows', '--by', 'gain'), '--by gain'),
        (('rows', 'wide', '--deblurrer', 'rows=net.pth'), 'wide has none'),
        (('rows', '--deblurrer', 'net.pth'), 'NAME=FILE'),
        (('rows', '--deblurrer', 'wide=net.pth'), 'there are rows'),
        (('rows', '--deblurrer', 'rows=a', '--deblurrer', 'rows=b'), 'has one already'),
        (('rows', '--deblurrer-opt', 'rows=a.yml'), 'no --deblurrer rows=FILE'),
        (('rows', '--deblurrer', 'rows=net.pth'), 'net.pth'),
    ],
)
def test_mistakes_are_told_in_a_line(folder: Path, arguments: tuple[str, ...], told: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, UserError)
    assert told in str(result.exception)
    assert '\n' not in str(result.exception)
