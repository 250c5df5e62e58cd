"""Scores as people read them: results beside what they are compared with, and the gain."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from b2b_basicsr.records.score_names import BLURRY, DIRECT, GAIN, NO_BLUR, is_gain

BASELINES = {BLURRY: 'blurry', DIRECT: 'direct', NO_BLUR: 'sharp, as it is'}
"""What stands behind the name of a baseline's value -> how the baseline is called; in the order of the columns."""

_ARROWS = {'higher': '↑', 'lower': '↓'}

Better = Callable[[str], Literal['higher', 'lower']]


@dataclass(frozen=True)
class Cell:
    """One cell of a table: its text, and whether that is good or bad news."""

    text: str
    tone: Literal['', 'good', 'bad'] = ''


@dataclass(frozen=True)
class Table:
    """A table with a row of headings; the first cell of each row is the row's heading. ``note`` stands below it."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ''


def shown(metric: str, value: float | None) -> str:
    """A value as text: decibels with two decimals, anything else with four; – where there is no number.

    A gain has its sign, if it is not zero as it is shown.

    Args:
        metric: its name.
        value: ``None`` and NaN are no numbers.

    Example:
        >>> shown('psnr', 26.0228), shown('gain', 2.5246), shown('gain', -0.0015), shown('ssim', 0.81)
        ('26.02', '+2.52', '0.00', '0.8100')
    """
    if value is None or math.isnan(value):
        return '–'
    sign = '+' if is_gain(metric) else ''
    if math.isinf(value):
        return '-∞' if value < 0 else f'{sign}∞'
    text = f'{value:{sign}.{2 if is_gain(metric) or "psnr" in metric.lower() else 4}f}'
    return text if float(text) else text.lstrip('+-')


def score_table(caption: str, means: Mapping[str, float], better: Better) -> Table | None:
    """Every metric in a row: its baselines, the result, and for PSNR the gain. ``None`` if there are no values.

    Args:
        caption: what is scored.
        means: metric -> value, with the baselines and gains under the names that ``models/scores.py`` gives them.
        better: tells which values of a metric are better.
    """
    if not means:
        return None
    endings = [end for end in BASELINES if any(metric + end in means for metric in means)]
    gains = _gains(means)
    metrics = [metric for metric in means if metric not in gains.values() and not is_baseline(metric, means)]
    rows = []
    for metric in metrics:
        values = [Cell(shown(metric, means.get(metric + end))) for end in endings]
        gain = [_gain(gains[metric], means[gains[metric]]) if metric in gains else Cell('')] if gains else []
        rows.append([_head(metric, better), *values, Cell(shown(metric, means[metric])), *gain])
    heads = ('metric', *(BASELINES[end] for end in endings), _result(endings, bool(gains)), *([GAIN] if gains else []))
    return Table(caption, heads, rows, _worse_than_blurry(metrics, means, better) if DIRECT in endings else '')


def is_baseline(name: str, values: Container[str]) -> bool:
    """Whether a name among ``values`` is that of a baseline's value."""
    return any(name.endswith(end) and name.removesuffix(end) in values for end in BASELINES)


def _gains(means: Mapping[str, float]) -> dict[str, str]:
    """Metric -> name of its gain. The plain ``gain`` is that of the first PSNR that has none of its own."""
    own = {name.removeprefix(f'{GAIN}_'): name for name in means if is_gain(name) and name != GAIN}
    gains = {metric: name for metric, name in own.items() if metric in means}
    if GAIN in means:
        psnr = (m for m in means if 'psnr' in m.lower() and not is_gain(m) and m not in gains)
        first = next((metric for metric in psnr if not is_baseline(metric, means)), None)
        gains |= {first: GAIN} if first is not None else {}
    return gains


def _result(endings: Sequence[str], has_gain: bool) -> str:
    """What the result is called: by what it is compared with."""
    if DIRECT in endings:
        return 'restored'
    if NO_BLUR in endings:
        return 're-blurred'
    if BLURRY in endings:
        return 'deblurred' if has_gain else 'result'
    return 'mean'


def _head(metric: str, better: Better) -> Cell:
    unit = ', dB' if 'psnr' in metric.lower() or is_gain(metric) else ''
    return Cell(f'{metric}{unit} {_ARROWS[better(metric)]}')


def _gain(name: str, value: float) -> Cell:
    text = shown(name, value)
    if text[:1] not in ('+', '-'):
        return Cell(text)
    return Cell(text, 'good' if value > 0 else 'bad')


def _worse_than_blurry(metrics: Sequence[str], means: Mapping[str, float], better: Better) -> str:
    """A gain over direct deblurring says nothing of this; so the page does."""
    worse = [
        metric
        for metric in metrics
        if metric + BLURRY in means
        and shown(metric, means[metric]) != shown(metric, means[metric + BLURRY])
        and (means[metric] < means[metric + BLURRY]) == (better(metric) == 'higher')
    ]
    if not worse:
        return ''
    return f'By {" and ".join(worse)}, restored is worse than the blurry pictures as they are.'
