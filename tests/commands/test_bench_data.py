from __future__ import annotations

import json
import pickle
import time
from collections.abc import Sequence

import cv2
import pytest
from click.testing import CliRunner

from b2b_basicsr.bench import data_bench
from b2b_basicsr.bench.data_bench import DECODING, PLAIN
from b2b_basicsr.bench.turns import Form, Measured
from b2b_basicsr.commands.bench_data_command import data
from b2b_basicsr.errors import UserError


def _here(forms: Sequence[Form], rounds: int, progress: bool = True) -> list[Measured]:
    """In this process: a process for each form would take seconds to import torch."""
    measured, threads = [], cv2.getNumThreads()
    for form in map(pickle.loads, map(pickle.dumps, forms)):
        turn = form.start(*form.arguments)
        start = time.perf_counter()
        turn()
        measured.append(Measured(form.name, (time.perf_counter() - start,) * rounds))
    cv2.setNumThreads(threads)
    return measured


def test_json_is_the_last_line_and_has_a_row_for_each_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_bench, 'run_in_turns', _here)
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
