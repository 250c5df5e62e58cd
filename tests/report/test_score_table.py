from __future__ import annotations

import math

import pytest

from b2b_basicsr.report.score_table import score_table, shown


@pytest.mark.parametrize(
    ('metric', 'value', 'text'),
    [
        ('psnr', 26.0228, '26.02'),
        ('psnr', math.inf, '∞'),
        ('gain', 0.004, '+0.00'),
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
        ['lpips ↓', '0.3750', '0.2500', '-0.1250'],
    ]
    assert [row[-1].tone for row in table.rows] == ['good', 'good']


@pytest.mark.parametrize(('suffix', 'head'), [('_no_blur', 're-blurred'), ('_blurry', 'deblurred')])
def test_other_models_have_other_baselines(suffix: str, head: str) -> None:
    table = score_table('set', {'psnr': 20.0, f'psnr{suffix}': 21.0}, lambda _: 'higher')
    assert table is not None
    assert table.heads[2] == head
    assert (table.rows[0][-1].text, table.rows[0][-1].tone) == ('-1.00', 'bad')


def test_no_baseline_is_no_column() -> None:
    table = score_table('set', {'niqe': math.nan}, lambda _: 'lower')
    assert table is not None
    assert [[cell.text for cell in row] for row in table.rows] == [['niqe ↓', '–']]
    assert score_table('set', {}, lambda _: 'higher') is None
