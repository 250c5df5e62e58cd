from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from b2b_basicsr.bench import data_bench
from b2b_basicsr.bench.data_bench import DECODING, PLAIN
from b2b_basicsr.commands.bench_data_command import data
from b2b_basicsr.errors import UserError
from tests.bench.turns_here import run_turns_here


def test_json_is_the_last_line_and_has_a_row_for_each_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_bench, 'run_in_turns', run_turns_here)
    result = CliRunner().invoke(data, ['--kind', 'jpeg', '--count', '2', '--rounds', '1', '--json'])
    assert result.exit_code == 0, result.output
    *_, last = result.stdout.splitlines()
    (table,) = json.loads(last)['tables']
    assert [row['form'] for row in table['rows']] == [
        *(PLAIN, DECODING),
        *('UnpairedBlurDataset, files', 'UnpairedBlurDataset, LMDB'),
    ]
    assert all(row['pictures/s/core'] > 0 and row['failure'] == '' for row in table['rows'])


def test_odd_count_is_refused() -> None:
    with pytest.raises(UserError, match=r'--count: 3: .*even'):
        CliRunner().invoke(data, ['--count', '3'], catch_exceptions=False)
