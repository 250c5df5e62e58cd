from __future__ import annotations

from pathlib import Path

from b2b_basicsr.records.validation_history import ValidationHistory


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


def test_lines_of_another_kind_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / 'validations.jsonl').write_text('123\n{"iter": 5}\nnull\n')
    history = ValidationHistory(tmp_path / 'validations.jsonl')
    history.add('a', 15, {'psnr': 1.0})
    assert [iteration for _, iteration, _ in history.until(20)] == [15]


def test_what_a_resumed_training_went_back_over_is_abandoned(tmp_path: Path) -> None:
    history = ValidationHistory(tmp_path / 'validations.jsonl')
    assert history.abandoned() == set()
    for iteration in (100, 200, 300, 150):
        for dataset in ('a', 'b'):
            history.add(dataset, iteration, {'psnr': 1.0})
    assert history.abandoned() == {200, 300}
    history.add('a', 200, {'psnr': 2.0})
    assert history.abandoned() == {300}
