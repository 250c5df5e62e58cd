from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from b2b_basicsr.errors import UserError
from benchmarks.rank_known_agreement import main
from tests.rank_known.blurred_sets import write_set

KNOWN = {'near': (9, 1), 'wider': (15, 15), 'widest': (27, 27)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / 'data'
    write_set(data / 'target' / 'blurry', range(8), (7, 1))
    write_set(data / 'target' / 'gt', range(8), None)
    write_set(data / 'target' / 'sharp', range(10, 18), None)
    for place, (name, blur) in enumerate(KNOWN.items(), 2):
        write_set(data / name / 'blurry', range(10 * place, 10 * place + 4), blur)
        write_set(data / name / 'gt', range(10 * place, 10 * place + 4), None)
    return tmp_path


def write_rows(folder: Path, gains: dict[str, float]) -> None:
    """Measured restored PSNR goes the other way than the gain."""
    rows = [
        {
            **dict.fromkeys(('photos', 'kernels'), ''),
            **{'size': 'tiny', 'camera': 'target', 'known': known, 'variant': 'recipe', 'seed': seed},
            'means': {'restored': {'psnr': 30 - gain}},
            'gain': gain + seed,
            **dict.fromkeys(('gap_closed', 'harm')),
            **{'pictures': {}, 'seconds': {}, 'machine': {}},
            'iteration': 1,
        }
        for known, gain in gains.items()
        for seed in (0, 1)
    ]
    (folder / 'results.json').write_text(json.dumps({'rows': rows}))


@pytest.mark.parametrize(
    ('gains', 'correlation', 'hits'), [((3.0, 2.0, 1.0), 1, '1 of 1'), ((1.0, 2.0, 3.0), -1, '0 of 1')]
)
def test_the_orders_are_compared(folder: Path, gains: tuple[float, ...], correlation: float, hits: str) -> None:
    write_rows(folder, dict(zip(KNOWN, gains, strict=True)))
    result = CliRunner().invoke(main, [str(folder), '--json'])
    assert result.exit_code == 0, result.output
    each, found, checked = (table['rows'] for table in json.loads(result.stdout.splitlines()[-1])['tables'])
    assert checked[0]['MTF off by'] < 0.3
    assert checked[0]['(1 - a)^2'] > checked[0]['blurry, 1 - a'] > checked[0]['1 - a^2']
    assert checked[0]['true'] == pytest.approx(checked[0]['blurry, 1 - a'], abs=4)
    assert [row['known'] for row in each] == ['near', 'wider', 'widest']
    assert [row['gain'] for row in each] == [pytest.approx(gain + 0.5) for gain in gains]
    by_gain, by_restored = found[:2]
    assert (by_gain['score'], by_gain['measured']) == ('expected_restored', 'gain')
    assert by_gain['Spearman'] == by_gain['Kendall'] == pytest.approx(correlation)
    assert by_gain['best found'] == hits
    assert by_restored['Spearman'] == pytest.approx(-correlation)


def test_rows_without_a_score_are_not_averaged_in(folder: Path) -> None:
    write_rows(folder, {**dict(zip(KNOWN, (3.0, 2.0, 1.0), strict=True)), 'never': 5.0})
    file = folder / 'results.json'
    content = json.loads(file.read_text())
    for row in content['rows']:
        if row['known'] == 'never' or (row['known'], row['seed']) == ('wider', 1):
            row['means'] = {}
    file.write_text(json.dumps(content))
    result = CliRunner().invoke(main, [str(folder), '--json'])
    assert result.exit_code == 0, result.output
    each, found, _ = (table['rows'] for table in json.loads(result.stdout.splitlines()[-1])['tables'])
    scores = {row['known']: (row['seeds'], row['restored'], row['gain']) for row in each}
    assert scores == {'near': (2, 27, 3.5), 'wider': (1, 28, 2), 'widest': (2, 29, 1.5)}
    assert found[1]['Spearman'] == pytest.approx(-1)


@pytest.mark.parametrize('field', ['photos', 'kernels', 'size'])
def test_rows_of_other_photographs_kernels_or_sizes_are_not_averaged_in(folder: Path, field: str) -> None:
    write_rows(folder, dict.fromkeys(KNOWN, 1.0))
    file = folder / 'results.json'
    content = json.loads(file.read_text())
    content['rows'] += [{**content['rows'][0], field: 'other'}]
    file.write_text(json.dumps(content))
    result = CliRunner().invoke(main, [str(folder)])
    assert isinstance(result.exception, UserError)
    assert str(result.exception).startswith(f'--{field}: ')
    assert 'other' in str(result.exception)
    assert 'name one' in str(result.exception)
    result = CliRunner().invoke(main, [str(folder), f'--{field}', 'other'])
    assert 'no camera was measured' in str(result.exception)


def test_two_known_sets_have_no_order(folder: Path) -> None:
    write_rows(folder, {'near': 1.0, 'wider': 2.0})
    result = CliRunner().invoke(main, [str(folder)])
    assert isinstance(result.exception, UserError)
    assert 'no camera was measured with 3 known sets' in str(result.exception)
