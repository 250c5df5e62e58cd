from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from b2b_basicsr.bench.timing_table import Table, print_tables

TABLE = Table('Times', [{'form': 'plain', 'seconds': 2.83456, 'n': 3, 'GB': None}, {'form': 'bf16', 'seconds': 1234.5}])


def test_table_shows_three_digits() -> None:
    lines = TABLE.text('github').splitlines()
    assert [cell.strip() for cell in lines[2].strip('|').split('|')] == ['plain', '2.83', '3', '']
    assert [cell.strip() for cell in lines[3].strip('|').split('|')] == ['bf16', '1234', '', '']


def test_a_first_row_without_figures_hides_none() -> None:
    lines = Table('Times', [{'form': 'plain: out of memory'}, {'form': 'bf16', 's': 1.5}]).text('github').splitlines()
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in (lines[0], *lines[2:])]
    assert cells == [['form', 's'], ['plain: out of memory', ''], ['bf16', '1.50']]


def test_json_is_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_tables('A bench', [TABLE, Table('Empty', [{'x': float('nan')}])], as_json=True)
    out = capsys.readouterr().out
    content = json.loads(out.splitlines()[-1])
    assert content['title'] == 'A bench'
    assert content['tables'][0] == {'caption': 'Times', 'rows': TABLE.rows}
    assert content['tables'][1]['rows'] == [{'x': None}]
    assert {'processor', 'torch', 'date'} <= content['machine'].keys()
    assert 'Times' in out.splitlines()
    assert sum(line.startswith('{') for line in out.splitlines()) == 1


def test_what_is_measured_one_after_the_other_is_said_before_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    said = []

    def measured() -> Iterator[Table]:
        for caption in ('First', 'Second'):
            yield Table(caption, TABLE.rows)
            said.append(json.loads(capsys.readouterr().out.splitlines()[-1])['tables'])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        print_tables('A bench', measured(), as_json=True)
    assert [[table['caption'] for table in tables] for tables in said] == [['First'], ['First', 'Second']]
