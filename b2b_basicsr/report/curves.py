"""Curves of losses and metrics, as SVG that stands in the page itself and follows its colours."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, Locator, MaxNLocator

from b2b_basicsr.records.score_names import is_gain
from b2b_basicsr.report.basicsr_log import Curve
from b2b_basicsr.report.score_table import BASELINES, is_baseline

_COLOURS = ('#3b82c4', '#d9772b', '#3f9e6a', '#a35fc4', '#c94f5c', '#8a8a2f')
_TEXT = '#010203'
"""Stands for the page's own text colour, which a drawing cannot know."""

_POINTS = 250
_LOG_SPAN = 30
_TICKS = 6
_GROUPS = {'l_g': 'losses of G', 'l_d': 'losses of D', 'out_d': "D's answers", 'l': 'losses'}
_BASELINE_STYLE = (0, (4, 2))


@dataclass(frozen=True)
class Panel:
    """One drawing: curves that share their axes."""

    title: str
    curves: Mapping[str, Curve]
    dashed: frozenset[str] = frozenset()
    zero_line: bool = False
    marked: bool = False


def loss_panels(losses: Mapping[str, Curve]) -> list[Panel]:
    """What a training's log has, by network: ``l_g_*``, ``l_d_*``, ``out_d_*``."""
    groups: dict[str, dict[str, Curve]] = {}
    for name, curve in losses.items():
        groups.setdefault(name.rpartition('_')[0] or name, {})[name] = curve
    return [Panel(_GROUPS.get(group, group), curves) for group, curves in groups.items()]


def metric_panels(validations: Mapping[int, Mapping[str, Mapping[str, float]]]) -> list[Panel]:
    """Each metric of each data set with its baseline, and each gain."""
    found: dict[str, dict[str, Curve]] = {}
    for iteration, of_sets in sorted(validations.items()):
        for dataset, values in of_sets.items():
            for metric, value in values.items():
                found.setdefault(dataset, {}).setdefault(metric, []).append((iteration, value))
    panels = []
    for dataset, curves in found.items():
        for metric in curves:
            if is_baseline(metric, curves):
                continue
            baselines = [metric + end for end in BASELINES if metric + end in curves]
            panels.append(
                Panel(
                    f'{metric}: {dataset}' if len(found) > 1 else metric,
                    {name: curves[name] for name in (metric, *baselines)},
                    frozenset(baselines),
                    zero_line=is_gain(metric),
                    marked=True,
                )
            )
    return panels


def draw(panel: Panel, number: int) -> Markup:
    """Draws a panel as an ``<svg>`` element with a label for those who cannot see it.

    Args:
        panel: at least one curve with at least one point.
        number: its own on the page, so that no two elements share an id.
    """
    with mpl.rc_context(
        {'svg.fonttype': 'none', 'svg.hashsalt': 'b2b', 'font.size': 9, 'path.simplify_threshold': 0.5}
    ):
        figure = Figure(figsize=(3.9, 2.5), layout='constrained', facecolor='none')
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        _draw_curves(axes, panel)
        buffer = io.StringIO()
        figure.savefig(buffer, format='svg', metadata=dict.fromkeys(('Creator', 'Date', 'Format', 'Type')))
    return Markup(_as_element(buffer.getvalue(), number, _said(panel)))


def _draw_curves(axes: Axes, panel: Panel) -> None:
    axes.set_facecolor('none')
    if panel.zero_line:
        axes.axhline(0, color=_TEXT, linewidth=0.8, alpha=0.5)
    for place, (name, curve) in enumerate(panel.curves.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        x, mean, low, high = _grouped(curve)
        style = _BASELINE_STYLE if name in panel.dashed else '-'
        marker = 'o' if panel.marked and len(x) <= 40 and name not in panel.dashed else ''
        number = str(place)
        axes.plot(x, mean, color=colour, linewidth=1.4, linestyle=style, marker=marker, markersize=3.5, label=number)
        if len(curve) > len(x):
            axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    values = [value for curve in panel.curves.values() for _, value in curve if math.isfinite(value)]
    if values and min(values) > 0 and max(values) > _LOG_SPAN * min(values) and not panel.marked:
        axes.set_yscale('log')
    axes.set_xlabel('iteration')
    axes.xaxis.set_major_locator(_ticks(panel))
    axes.ticklabel_format(axis='x', style='plain')
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(color=_TEXT, alpha=0.12, linewidth=0.6)
    axes.tick_params(colors=_TEXT, which='both')
    axes.xaxis.label.set_color(_TEXT)
    for spine in axes.spines.values():
        spine.set(color=_TEXT, alpha=0.5)
    if len(panel.curves) > 1:
        legend = axes.legend(frameon=False, fontsize=8, labelcolor=_TEXT)
        # Only now: of names, matplotlib would take `$` for the begin of a formula, and leave out those with `_` before.
        for text, name in zip(legend.get_texts(), panel.curves, strict=True):
            text.set_parse_math(False)
            text.set_text(name)


def _ticks(panel: Panel) -> Locator:
    """A tick at each iteration that was validated, if they are few and apart; else at round ones."""
    iterations = sorted({iteration for curve in panel.curves.values() for iteration, _ in curve})
    span = iterations[-1] - iterations[0]
    apart = all(later - earlier >= span / _TICKS for earlier, later in pairwise(iterations))
    if panel.marked and len(iterations) <= _TICKS and apart:
        return FixedLocator(iterations)
    return MaxNLocator(_TICKS - 1, integer=True)


def _grouped(curve: Sequence[tuple[int, float]]) -> tuple[list[float], list[float], list[float], list[float]]:
    """Long curves in neighbouring groups: iteration, mean, lowest, highest value of each."""
    count = min(_POINTS, len(curve))
    parts = np.array_split(np.asarray(curve, dtype=float), count)
    columns = [(part[:, 0].mean(), part[:, 1].mean(), part[:, 1].min(), part[:, 1].max()) for part in parts]
    x, mean, low, high = (list(map(float, column)) for column in zip(*columns, strict=True))
    return x, mean, low, high


def _as_element(svg: str, number: int, label: str) -> str:
    """Without what only a file of its own needs."""
    svg = svg[svg.index('<svg') :].rstrip()
    svg = re.sub(r'<metadata>.*?</metadata>', '', svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', '', svg).replace('xlink:href', 'href').replace(_TEXT, 'currentColor')
    svg = re.sub(r'( id="|url\(#|href="#)', rf'\g<1>c{number}-', svg)
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 role="img" aria-label="LABEL">', svg, count=1)
    return svg.replace('LABEL', str(escape(label)), 1)


def _said(panel: Panel) -> str:
    return f'{panel.title}: ' + '; '.join(_said_of(name, curve) for name, curve in panel.curves.items())


def _said_of(name: str, curve: Curve) -> str:
    (first, begin), (last, end) = curve[0], curve[-1]
    return f'{name} {begin:.4g} at iteration {first}, {end:.4g} at iteration {last}'


def drawn(panels: Iterable[Panel], first_number: int = 0) -> list[tuple[str, Markup]]:
    """Titles and drawings of panels; those without a finite point are left out."""
    visible = [
        panel for panel in panels if any(math.isfinite(value) for curve in panel.curves.values() for _, value in curve)
    ]
    return [(panel.title, draw(panel, first_number + number)) for number, panel in enumerate(visible)]
