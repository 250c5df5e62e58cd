from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from b2b_basicsr.errors import UserError
from b2b_basicsr.gain.results import Results, Row, read_rows


def row(camera: str = 'shake', variant: str = 'recipe', seed: int = 0, **changes: Any) -> Row:
    values: dict[str, Any] = {
        'photos': 'a' * 16,
        'kernels': 'simulated',
        'size': 'cpu',
        'camera': camera,
        'known': 'horizontal',
        'variant': variant,
        'seed': seed,
        'means': {'direct': {'psnr': 21.0}, 'restored': {'psnr': 22.0}},
        'gain': 1.0,
        'gap_closed': None,
        'harm': None,
        'pictures': {},
        'seconds': {},
        'machine': {},
        'iteration': 10,
    }
    return Row(**{**values, **changes})


def _put_many(out: Path, camera: str) -> None:
    results = Results(out)
    for seed in range(10):
        results.put([row(camera, seed=seed)])


def test_processes_do_not_lose_each_others_rows(tmp_path: Path) -> None:
    context = multiprocessing.get_context('fork')
    writers = [context.Process(target=_put_many, args=(tmp_path, camera)) for camera in ('shake', 'defocus', 'turning')]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = {(found.camera, found.seed) for found in Results(tmp_path).rows()}
    assert found == {(camera, seed) for camera in ('shake', 'defocus', 'turning') for seed in range(10)}


def test_a_row_takes_the_place_of_one_of_its_key(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.put([row(gain=1.0), row('defocus', gain=2.0)])
    results.put([row(gain=3.0), row(seed=1, gain=4.0), row(size='gpu', gain=5.0)])
    assert [(found.camera, found.size, found.seed, found.gain) for found in results.rows()] == [
        ('defocus', 'cpu', 0, 2.0),
        ('shake', 'cpu', 0, 3.0),
        ('shake', 'cpu', 1, 4.0),
        ('shake', 'gpu', 0, 5.0),
    ]


def test_the_newer_row_stays_when_merged(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.put([row(gain=1.0, measured_at='2026-11-23'), row('defocus', gain=1.0), row('turning', gain=1.0)])
    older = results.merge(
        [
            row(gain=2.0, measured_at='2026-11-22'),
            row('defocus', gain=2.0, measured_at='2026-11-01'),
            row('turning', gain=2.0),
        ]
    )
    assert (older, {found.camera: found.gain for found in results.rows()}) == (
        1,
        {'shake': 1.0, 'defocus': 2.0, 'turning': 2.0},
    )
    before = results.path.stat().st_mtime_ns
    assert results.merge([row(gain=2.0)]) == 1
    assert results.path.stat().st_mtime_ns == before


def test_what_a_newer_version_wrote_is_kept(tmp_path: Path) -> None:
    path = tmp_path / 'results.json'
    path.write_text(json.dumps({'rows': [{**row().model_dump(), 'of_tomorrow': 7}]}))
    Results(tmp_path).put([row('defocus')])
    kept = json.loads(path.read_text())['rows']
    assert [entry.get('of_tomorrow') for entry in kept] == [None, 7]


@pytest.mark.parametrize(
    ('content', 'what'),
    [
        ('{"rows": [', 'JSONDecodeError'),
        ('[]', 'TypeError'),
        ('{}', "KeyError: 'rows'"),
        ('{"rows": {}}', 'rows is no list'),
        (json.dumps({'rows': [{**row().model_dump(), 'seed': 'x'}]}), 'seed: Input should be a valid integer'),
    ],
)
def test_a_damaged_file_is_refused_and_left_alone(tmp_path: Path, content: str, what: str) -> None:
    path = tmp_path / 'results.json'
    path.write_text(content)
    with pytest.raises(UserError, match=r'results\.json: damaged, or no results of b2b bench gain') as error:
        Results(tmp_path).put([row()])
    assert what in str(error.value)
    assert '\n' not in str(error.value)
    assert path.read_text() == content


def test_a_file_to_merge_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'nowhere\.json: not there; give the results\.json of a benchmark'):
        read_rows(tmp_path / 'nowhere.json')
