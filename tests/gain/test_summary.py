from __future__ import annotations

import math

import pytest

from b2b_basicsr.gain.summary import as_text, highlight, over_cameras, spread, tables
from b2b_basicsr.report.score_table import Table
from tests.gain.test_results import row


def _cells(table: Table) -> dict[str, dict[str, str]]:
    return {
        line[0].text: dict(zip(table.heads[1:], [cell.text for cell in line[1:]], strict=True)) for line in table.rows
    }


def test_spread_is_of_the_sample() -> None:
    found = spread([1.0, 2.0, None, 6.0, math.nan])
    assert found is not None
    assert (found.mean, found.count) == (3.0, 3)
    assert found.deviation == pytest.approx(math.sqrt((4 + 1 + 9) / 2))
    assert spread([None]) is None


def test_the_mean_over_cameras_is_of_seeds_that_have_them_all() -> None:
    rows = [row('shake', gain=1.0), row('defocus', gain=3.0), row('shake', seed=1, gain=100.0)]
    found = over_cameras(rows, lambda one: one.gain)
    assert found is not None
    assert (found.mean, found.deviation, found.count) == (2.0, None, 1)
    both = over_cameras([*rows, row('defocus', seed=1, gain=-92.0)], lambda one: one.gain)
    assert both is not None
    assert (both.mean, both.count) == (3.0, 2)


def test_cameras_of_the_recipe() -> None:
    rows = [
        row('shake', gain=1.0, gap_closed=0.5, harm=0.2),
        row('shake', seed=1, gain=2.0, gap_closed=0.7, harm=-0.004),
        row('defocus', gain=-0.5),
    ]
    (table,) = tables(rows)
    cells = _cells(table)
    assert list(cells) == ['shake', 'defocus', 'mean']
    assert cells['shake']['gain'] == '+1.50 ± 0.71'
    assert cells['shake']['gap closed, %'] == '60 ± 14'
    assert cells['shake']['harm'] == '+0.10 ± 0.14'
    assert cells['shake']['seeds'] == '2'
    assert cells['shake']['direct'] == '21.00 ± 0.00'
    assert cells['defocus']['gain'] == '-0.50'
    assert cells['defocus']['oracle'] == '–'
    assert cells['mean']['gain'] == '+0.25'
    assert cells['mean']['seeds'] == '1'
    tones = {line[0].text: line[1 + list(table.heads[1:]).index('gain')].tone for line in table.rows}
    assert tones == {'shake': 'good', 'defocus': 'bad', 'mean': 'good'}
    assert highlight(rows) == 'gain: +0.25 dB (the mean over 2 cameras, size cpu, known camera horizontal)'


def test_variants_are_held_against_the_recipe_where_both_are() -> None:
    rows = [
        row('shake', gain=1.0, means={'restored': {'psnr': 22.0}}),
        row('defocus', gain=2.0, means={'restored': {'psnr': 24.0}}),
        row('shake', 'l1', gain=0.5, means={'restored': {'psnr': 21.5}}),
        row('shake', 'l1', seed=1, gain=9.0, means={'restored': {'psnr': 50.0}}),
        row('defocus', 'direct_unpaired', gain=None, means={'restored': {'psnr': 25.0}}),
    ]
    table = tables(rows)[-1]
    assert table.caption.startswith('Variants: size cpu, known camera horizontal, photographs aaaaaaaa')
    cells = _cells(table)
    assert list(cells) == ['recipe', 'direct_unpaired', 'l1']
    assert cells['l1']['to recipe'] == '-0.50'
    assert cells['l1']['gain, shake'] == '+4.75 ± 6.01'
    assert cells['l1']['gain, defocus'] == '–'
    assert cells['l1']['mean gain'] == '–'
    assert cells['recipe']['mean gain'] == '+1.50'
    assert cells['recipe']['to recipe'] == '–'
    assert cells['direct_unpaired']['to recipe'] == '+1.00'


def test_deviations_of_variants_are_over_seeds() -> None:
    rows = [
        row(camera, variant, gain=1.0, harm=harm, means={'restored': {'psnr': psnr}})
        for camera, variant, psnr, harm in [
            ('shake', 'recipe', 22.0, 0.1),
            ('defocus', 'recipe', 24.0, 0.3),
            ('shake', 'l1', 23.0, 0.2),
            ('defocus', 'l1', 27.0, 0.4),
        ]
    ]
    cells = _cells(tables(rows)[-1])['l1']
    assert (cells['to recipe'], cells['harm']) == ('+2.00', '+0.30')
    second = [
        row(seed=1, means={'restored': {'psnr': 20.0}}),
        row(variant='l1', seed=1, harm=0.3, means={'restored': {'psnr': 20.0}}),
    ]
    cells = _cells(tables([*rows, *second])[-1])['l1']
    assert (cells['to recipe'], cells['harm']) == ('+1.00 ± 1.41', '+0.30 ± 0.00')


def test_what_is_not_to_be_compared_stands_apart() -> None:
    rows = [row(), row(size='gpu'), row(photos='b' * 16), row(known='vertical'), row(kernels='c' * 16)]
    assert len(tables(rows)) == 5


def test_other_metrics_have_a_table_each() -> None:
    means = {'direct': {'psnr': 20.0, 'ssim': 0.5}, 'restored': {'psnr': 21.0, 'ssim': 0.61234}}
    found = tables([row(means=means)])
    assert [table.caption.partition(':')[0] for table in found] == ['Recipe', 'Recipe, ssim']
    assert _cells(found[1])['shake']['restored'] == '0.6123'


def test_text_and_markdown() -> None:
    (table,) = tables([row()])
    assert as_text(table).splitlines()[0] == table.caption
    markdown = as_text(table, 'github').splitlines()
    assert markdown[2].startswith('| camera ')
    assert markdown[3].startswith('|----')
    assert '+1.00' in markdown[4]
    assert markdown[5] == ''  # else the note would be a row
    assert markdown[6] == table.note


def test_seeds_trained_by_other_options_are_left_out() -> None:
    rows = [
        row(seed=0, gain=1.0, trained_by='old', measured_at='2026-11-01T00:00:00'),
        row(seed=1, gain=2.0, trained_by='new', measured_at='2026-11-02T00:00:00'),
        row(seed=2, gain=4.0, trained_by='new', measured_at='2026-11-03T00:00:00'),
        row('defocus', seed=0, gain=5.0, trained_by='of defocus', measured_at='2026-11-01T00:00:00'),
    ]
    (table,) = tables(rows)
    cells = _cells(table)
    assert cells['shake']['gain'] == '+3.00 ± 1.41'
    assert cells['defocus']['gain'] == '+5.00'
    assert 'Left out: results of other seeds that were trained by other options, 1 in all.' in table.note
    assert 'mean over 2 cameras' not in highlight(rows)
    (variants,) = tables([row.model_copy(update={'variant': 'l1'}) for row in rows])
    assert variants.note.endswith('trained by other options, 1 in all.')


def test_tiny_says_that_it_shows_no_gain() -> None:
    (table,) = tables([row(size='tiny')])
    assert table.note.startswith('Size tiny shows that all of it runs, and no more.')


def test_no_rows_no_tables() -> None:
    assert (tables([]), highlight([])) == ([], '')


def test_the_highlight_is_of_the_setting_with_most_cameras() -> None:
    variants = [row('defocus', variant=name, size='brief', gain=1.0) for name in ('recipe', 'unet', 'l1', 'penalty')]
    assert 'size brief' in highlight(variants)
    both = [*variants, row('defocus', size='cpu', gain=2.0), row('shake', size='cpu', gain=3.0)]
    assert highlight(both) == 'gain: +2.50 dB (the mean over 2 cameras, size cpu, known camera horizontal)'
