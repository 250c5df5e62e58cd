"""Scores as people read them: results beside what they are compared with, and the gain."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from b2b_basicsr.models.deblur_model import BLURRY
from b2b_basicsr.models.kernel_wizard_model import NO_BLUR
from b2b_basicsr.models.scores import DIRECT, GAIN

BASELINES = {
    DIRECT: ('direct', 'restored'),
    NO_BLUR: ('sharp, as it is', 're-blurred'),
    BLURRY: ('blurry, as it is', 'deblurred'),
}
"""What stands behind the name of a baseline's value -> how the baseline and the result are called."""

_ARROWS = {'higher': '↑', 'lower': '↓'}

Better = Callable[[str], Literal['higher', 'lower']]


@dataclass(frozen=True)
class Cell:
    """One cell of a table: its text, and whether that is good or bad news."""

    text: str
    tone: Literal['', 'good', 'bad'] = ''


@dataclass(frozen=True)
class Table:
    """A table with a row of headings; the first cell of each row is the row's heading."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def shown(metric: str, value: float | None, signed: bool | None = None) -> str:
    """A value as text: decibels with two decimals, anything else with four; – where there is no number.

    Args:
        metric: its name.
        value: ``None`` and NaN are no numbers.
        signed: whether a plus is written; gains have one.

    Example:
        >>> shown('psnr', 26.0228), shown('gain', 2.5246), shown('ssim', 0.81), shown('psnr', float('nan'))
        ('26.02', '+2.52', '0.8100', '–')
    """
    if value is None or math.isnan(value):
        return '–'
    is_gain = metric == GAIN or metric.startswith(f'{GAIN}_')
    sign = '+' if (is_gain if signed is None else signed) else ''
    if math.isinf(value):
        return '-∞' if value < 0 else f'{sign}∞'
    return f'{value:{sign}.{2 if is_gain or "psnr" in metric.lower() else 4}f}'


def score_table(caption: str, means: Mapping[str, float], better: Better) -> Table | None:
    """Every metric in a row: the baseline, the result, their difference. ``None`` if there are no values.

    Args:
        caption: what is scored.
        means: metric -> value, with the baselines under the names that ``models/scores.py`` gives them.
        better: tells which values of a metric are better.
    """
    suffix = next((end for end in BASELINES if any(metric + end in means for metric in means)), None)
    metrics = [metric for metric in means if not _is_derived(metric, means)]
    if not metrics:
        return None
    if suffix is None:
        rows = [[_head(metric, better), Cell(shown(metric, means[metric]))] for metric in metrics]
        return Table(caption, ('metric', 'mean'), rows)
    rows = []
    for metric in metrics:
        baseline, value = means.get(metric + suffix), means[metric]
        difference = None if baseline is None else value - baseline
        texts = [Cell(shown(metric, baseline)), Cell(shown(metric, value))]
        rows.append([_head(metric, better), *texts, _difference(metric, difference, better)])
    return Table(caption, ('metric', *BASELINES[suffix], 'gain'), rows)


def _is_derived(metric: str, means: Mapping[str, float]) -> bool:
    """Whether a value is a baseline's, or a difference that the table has a column for."""
    if metric == GAIN or (metric.removeprefix(f'{GAIN}_') in means and metric.startswith(f'{GAIN}_')):
        return True
    return any(metric.endswith(end) and metric.removesuffix(end) in means for end in BASELINES)


def _head(metric: str, better: Better) -> Cell:
    unit = ', dB' if 'psnr' in metric.lower() else ''
    return Cell(f'{metric}{unit} {_ARROWS[better(metric)]}')


def _difference(metric: str, value: float | None, better: Better) -> Cell:
    if value is None or math.isnan(value) or value == 0:
        return Cell(shown(metric, value, signed=True))
    return Cell(shown(metric, value, signed=True), 'good' if (value > 0) == (better(metric) == 'higher') else 'bad')
