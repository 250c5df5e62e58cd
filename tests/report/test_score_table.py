from __future__ import annotations

import math

import pytest

from b2b_basicsr.report.score_table import score_table, shown


@pytest.mark.parametrize(
    ('metric', 'value', 'text'),
    [
        ('psnr', 26.0228, '26.02'),
        ('psnr', math.inf, '∞'),
        ('gain', 0.004, '0.00'),
        ('gain', -0.0015, '0.00'),
        ('gain', 0.005001, '+0.01'),
        ('psnr', -0.001, '0.00'),
        ('gain_psnr_y', 2.5, '+2.50'),
        ('gain', -2.5, '-2.50'),
        ('gain', -math.inf, '-∞'),
        ('ssim', 0.81234, '0.8123'),
        ('lpips', None, '–'),
        ('niqe', math.nan, '–'),
    ],
)
def test_numbers_as_text(metric: str, value: float | None, text: str) -> None:
    assert shown(metric, value) == text


def test_result_stands_beside_its_baseline() -> None:
    means = {'psnr': 26.0, 'lpips': 0.25, 'psnr_direct': 23.5, 'lpips_direct': 0.375, 'gain': 2.5}
    table = score_table('set', means, lambda metric: 'lower' if metric == 'lpips' else 'higher')
    assert table is not None
    assert table.heads == ('metric', 'direct', 'restored', 'gain')
    assert [[cell.text for cell in row] for row in table.rows] == [
        ['psnr, dB ↑', '23.50', '26.00', '+2.50'],
        ['lpips ↓', '0.3750', '0.2500', ''],
    ]
    assert [row[-1].tone for row in table.rows] == ['good', '']


@pytest.mark.parametrize(('gain', 'tone'), [(-0.0015, ''), (0.0, ''), (-0.2, 'bad'), (0.2, 'good')])
def test_no_gain_has_no_colour(gain: float, tone: str) -> None:
    table = score_table('set', {'psnr': 26.0, 'psnr_direct': 26.0 - gain, 'gain': gain}, lambda _: 'higher')
    assert table is not None
    assert table.rows[0][-1].tone == tone


def test_each_psnr_has_its_own_gain() -> None:
    means = {'ssim': 0.8, 'psnr_y': 27.0, 'psnr': 26.0, 'gain': 0.5, 'gain_psnr': 0.25}
    table = score_table('set', {**means, **{f'{name}_direct': 1.0 for name in means}}, lambda _: 'higher')
    assert table is not None
    assert {row[0].text: row[-1].text for row in table.rows} == {
        'ssim ↑': '', 'psnr_y, dB ↑': '+0.50', 'psnr, dB ↑': '+0.25'
    }  # fmt: skip


def test_a_gain_that_belongs_to_no_row_is_a_row() -> None:
    table = score_table('set', {'quality': 26.0, 'gain': 0.5}, lambda _: 'higher')
    assert table is not None
    assert [[cell.text for cell in row] for row in table.rows] == [['quality ↑', '26.0000'], ['gain, dB ↑', '+0.50']]


@pytest.mark.parametrize(
    ('psnr', 'lpips', 'note'),
    [
        (27.5, 0.4, 'By psnr and lpips, restored is worse than the blurry pictures as they are.'),
        (29.7, 0.4, 'By lpips, restored is worse than the blurry pictures as they are.'),
        (29.7, 0.3, ''),
        (29.599, 0.3, ''),  # the same, as it is shown
        (float('nan'), 0.3, ''),
    ],
)
def test_restored_that_is_worse_than_blurry_is_said(psnr: float, lpips: float, note: str) -> None:
    means = {'psnr': psnr, 'lpips': lpips, 'psnr_blurry': 29.6, 'lpips_blurry': 0.3, 'psnr_direct': 25.0, 'gain': 2.5}
    table = score_table('set', means, lambda metric: 'lower' if metric == 'lpips' else 'higher')
    assert table is not None
    assert table.heads == ('metric', 'blurry', 'direct', 'restored', 'gain')
    assert table.note == note


def test_of_a_translation_alone_there_is_no_gain() -> None:
    table = score_table('set', {'psnr': 28.0, 'psnr_blurry': 29.0}, lambda _: 'higher')
    assert table is not None
    assert table.heads == ('metric', 'blurry', 'result')
    assert not table.note


@pytest.mark.parametrize(('suffix', 'head'), [('_no_blur', 're-blurred'), ('_blurry', 'deblurred')])
def test_other_models_have_other_baselines(suffix: str, head: str) -> None:
    table = score_table('set', {'psnr': 20.0, f'psnr{suffix}': 21.0, 'gain': -1.0}, lambda _: 'higher')
    assert table is not None
    assert table.heads[2] == head
    assert (table.rows[0][-1].text, table.rows[0][-1].tone) == ('-1.00', 'bad')


def test_no_baseline_is_no_column() -> None:
    table = score_table('set', {'niqe': math.nan}, lambda _: 'lower')
    assert table is not None
    assert [[cell.text for cell in row] for row in table.rows] == [['niqe ↓', '–']]
    assert score_table('set', {}, lambda _: 'higher') is None
