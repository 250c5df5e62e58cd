from __future__ import annotations

import csv
from pathlib import Path

import pytest

from b2b_basicsr.records.picture_scores import ScoredPicture, write_picture_scores
from b2b_basicsr.report.score_files import read_scores


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def test_rows_have_metrics_and_files(tmp_path: Path) -> None:
    table = tmp_path / 'results' / 'set.csv'
    inside, outside = tmp_path / 'results' / 'visualization' / 'a.png', tmp_path / 'data' / 'a, "b".png'
    first = ScoredPicture('scene/ä', {'psnr': 30.123456789, 'gain': -1.5}, {'lq': outside, 'restored': inside})
    write_picture_scores(table, [first, ScoredPicture('b', {'psnr': float('nan')})])
    rows = _rows(table)
    assert rows[0] == {
        **{'picture': 'scene/ä', 'psnr': '30.123456789', 'gain': '-1.5', 'lq': str(outside), 'direct': ''},
        **{'translated': '', 'restored': 'visualization/a.png', 'gt': ''},
    }
    assert (rows[1]['picture'], rows[1]['psnr'], rows[1]['gain']) == ('b', 'nan', '')
    assert list(rows[0]) == ['picture', 'psnr', 'gain', 'lq', 'direct', 'translated', 'restored', 'gt']


@pytest.mark.parametrize('name', ['b\udcfc', 'a\rb', 'a\nb', 'a,"b'])
def test_any_name_comes_back(tmp_path: Path, name: str) -> None:
    write_picture_scores(tmp_path / 'a.csv', [ScoredPicture(name, {'psnr': 1.0})])
    (row,) = read_scores(tmp_path / 'a.csv')
    assert row.name == name


def test_kinds_of_a_models_own_come_last(tmp_path: Path) -> None:
    write_picture_scores(tmp_path / 'a.csv', [ScoredPicture('a', {}, {'reblurred': tmp_path / 'a.png'})])
    (row,) = _rows(tmp_path / 'a.csv')
    assert list(row)[-1] == 'reblurred'
    assert row['reblurred'] == 'a.png'


def test_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / 'set.csv'
    write_picture_scores(table, [ScoredPicture('a', {'psnr': 1.0})])
    before = table.read_bytes()

    def full(*_: object) -> None:
        raise OSError('disk full')

    monkeypatch.setattr(csv.DictWriter, 'writerow', full)
    with pytest.raises(OSError, match='disk full'):
        write_picture_scores(table, [ScoredPicture('b', {'psnr': 2.0})])
    assert table.read_bytes() == before
    assert list(tmp_path.iterdir()) == [table]
