from __future__ import annotations

import io
import json
import sys

import pytest

from b2b_basicsr.bench.markdown import main
from b2b_basicsr.bench.timing_table import Table, print_tables


def test_the_last_line_of_a_bench_becomes_tables(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, 'argv', ['b2b', 'bench', 'data', '--json'])
    tables = [Table('Times', [{'form': 'plain', 's': 1.5}]), Table('Memory', [{'form': 'plain', 'GB': None}])]
    print_tables('A bench', tables, as_json=True)
    monkeypatch.setattr(sys, 'stdin', io.StringIO(capsys.readouterr().out))
    main()
    first, *blocks = capsys.readouterr().out.strip().split('\n\n')
    assert first.startswith('`b2b bench data --json`, 20')
    assert ' on ' in first
    assert blocks[0] == 'Times:'
    assert [cell.strip() for cell in blocks[1].splitlines()[2].strip('|').split('|')] == ['plain', '1.50']
    assert blocks[2] == 'Memory:'
    assert len(blocks) == 4


@pytest.mark.parametrize('said', ['', 'a table\n', json.dumps({'title': 'x'}), '[1]'])
def test_anything_else_is_one_line(
    said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, 'stdin', io.StringIO(said))
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith('error: standard input: does not end in the JSON')
