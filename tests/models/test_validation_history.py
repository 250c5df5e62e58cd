from __future__ import annotations

from pathlib import Path

from b2b_basicsr.models.validation_history import ValidationHistory


def test_what_was_done_up_to_an_iteration(tmp_path: Path) -> None:
    history = ValidationHistory(tmp_path / 'validations.jsonl')
    assert list(history.until(10)) == []
    history.add('a', 5, {'psnr': 1.0})
    history.add('b', 5, {'psnr': 2.0})
    history.add('a', 10, {'psnr': 3.0})
    history.add('a', 15, {'psnr': 4.0})
    assert list(history.until(10)) == [('a', 5, {'psnr': 1.0}), ('b', 5, {'psnr': 2.0}), ('a', 10, {'psnr': 3.0})]


def test_a_repeated_validation_counts_once(tmp_path: Path) -> None:
    history = ValidationHistory(tmp_path / 'validations.jsonl')
    history.add('a', 5, {'psnr': 1.0})
    history.add('a', 5, {'psnr': 0.5})
    assert list(history.until(5)) == [('a', 5, {'psnr': 0.5})]


def test_a_torn_line_loses_itself_alone(tmp_path: Path) -> None:
    history = ValidationHistory(tmp_path / 'validations.jsonl')
    history.add('a', 5, {'psnr': 1.0})
    with (tmp_path / 'validations.jsonl').open('a') as file:
        file.write('{"iter": 10, "data')
    history.add('a', 15, {'psnr': float('nan')})
    assert [(dataset, iteration) for dataset, iteration, _ in history.until(20)] == [('a', 5), ('a', 15)]
