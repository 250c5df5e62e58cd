from __future__ import annotations

import json

import pytest

from b2b_basicsr.bench.timing_table import Table, print_tables

TABLE = Table('Times', [{'form': 'plain', 'seconds': 2.83456, 'n': 3, 'GB': None}, {'form': 'bf16', 'seconds': 1234.5}])


def test_table_shows_three_digits() -> None:
    lines = TABLE.text('github').splitlines()
    assert [cell.strip() for cell in lines[2].strip('|').split('|')] == ['plain', '2.83', '3', '']
    assert [cell.strip() for cell in lines[3].strip('|').split('|')] == ['bf16', '1234', '', '']


def test_json_is_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_tables('A bench', [TABLE, Table('Empty', [{'x': float('nan')}])], as_json=True)
    out = capsys.readouterr().out
    content = json.loads(out.splitlines()[-1])
    assert content['title'] == 'A bench'
    assert content['tables'][0] == {'caption': 'Times', 'rows': TABLE.rows}
    assert content['tables'][1]['rows'] == [{'x': None}]
    assert {'processor', 'torch', 'date'} <= content['machine'].keys()
    assert 'Times' in out.splitlines()
