from __future__ import annotations

import re
from itertools import pairwise

import pytest

from b2b_basicsr.report.curves import Panel, draw, metric_panels


def _ticks(svg: str) -> list[str]:
    """The labels of the iterations, which stand left of the word below them."""
    return re.findall(r'<text[^>]*>(\d+)</text>', svg.partition('>iteration<')[0])


@pytest.mark.parametrize(
    ('iterations', 'ticks'),
    [
        ((10, 20), ['10', '20']),
        ((7,), ['7']),
        ((100, 250, 400), ['100', '250', '400']),
        ((0, 20, 40, 60, 80, 100), ['0', '20', '40', '60', '80', '100']),
    ],
)
def test_few_validations_are_the_ticks(iterations: tuple[int, ...], ticks: list[str]) -> None:
    panel = Panel('gain', {'gain': [(iteration, 1.5 + iteration) for iteration in iterations]}, marked=True)
    assert _ticks(draw(panel, 0)) == ticks


@pytest.mark.parametrize('iterations', [range(0, 8000, 1000), (1, 2, 1000), (998, 999, 1000)])
def test_else_ticks_are_whole_and_apart(iterations: tuple[int, ...]) -> None:
    panel = Panel('gain', {'gain': [(iteration, 1.5) for iteration in iterations]}, marked=True)
    ticks = [int(tick) for tick in _ticks(draw(panel, 0))]
    assert 2 <= len(ticks) <= 6
    assert min(later - earlier for earlier, later in pairwise(ticks)) >= (ticks[-1] - ticks[0]) / 6


def test_metric_is_drawn_with_all_its_baselines() -> None:
    values = {'psnr': 26.0, 'psnr_blurry': 27.0, 'psnr_direct': 24.0, 'gain': 2.0}
    panels = metric_panels({10: {'set': values}, 20: {'set': values}})
    assert [list(panel.curves) for panel in panels] == [['psnr', 'psnr_blurry', 'psnr_direct'], ['gain']]
    assert panels[0].dashed == {'psnr_blurry', 'psnr_direct'}
    assert [panel.zero_line for panel in panels] == [False, True]
