"""The scores of a set as a picture: histogram, threshold, and examples to judge it by eye."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from b2b_basicsr.prepare.select_rule import KeepRule, Measure
from b2b_basicsr.prepare.select_scores import PictureScore

_KEPT, _DROPPED = 'tab:blue', 'tab:orange'
_EXAMPLES = 6
_EXAMPLE_PIXELS = 240
_LABELS = {'blur': 'blur score (0 sharp, 1 blurred)', 'psnr': 'PSNR against the sharp twin, dB (high: hardly blurred)'}


def draw_histogram(
    path: Path,
    scores: Sequence[PictureScore],
    rule: KeepRule,
    view: Callable[[PictureScore], NDArray[np.uint8]],
    title: str,
) -> None:
    """Draws the distribution of the scores, what the rule keeps, and examples, as PNG.

    Under one histogram for each measure stand parts of pictures, pixel by pixel: from the sharpest to the most blurred,
    evenly over the set, and, if the rule has a border, of those nearest to it on both sides.

    Args:
        path: of the PNG file.
        scores: of the set; one at least.
        rule: what is kept.
        view: gives a picture as it was scored, uint8 [h, w, 3], RGB.
        title: stands above all.
    """
    kept = rule.kept(scores)
    measures: list[Measure] = ['blur'] if scores[0].psnr is None else ['blur', 'psnr']
    is_kept = dict(zip((score.name for score in scores), kept, strict=True))
    ranked = sorted(scores, key=lambda score: KeepRule(measure=rule.measure).strength(score))
    rows = [('from sharp to blurred', _spread(ranked))]
    border = rule.border(scores)
    if border is not None:
        rows.append(('nearest to the border', _nearest(ranked, rule, border)))
    figure = Figure(figsize=(16, 4.6 + 3.0 * len(rows)), dpi=100, layout='constrained')
    FigureCanvasAgg(figure)
    figure.suptitle(_ascii(title), parse_math=False)
    charts, *strips = figure.subfigures(
        1 + len(rows), 1, squeeze=False, height_ratios=[4.3, *[3.0] * len(rows)]
    ).ravel()
    for axes, measure in zip(charts.subplots(1, len(measures), squeeze=False)[0], measures, strict=True):
        _draw_chart(axes, scores, kept, measure, border if measure == rule.measure else None)
    for strip, (row_title, examples) in zip(strips, rows, strict=True):
        strip.suptitle(row_title, fontsize='medium')
        for axes, score in zip(strip.subplots(1, _EXAMPLES), [*examples, *[None] * _EXAMPLES], strict=False):
            if score is None:
                axes.set_axis_off()
            else:
                _draw_example(axes, score, view(score), is_kept[score.name], rule.is_given)
    figure.savefig(path, format='png')


def _draw_chart(
    axes: Axes, scores: Sequence[PictureScore], kept: Sequence[bool], measure: Measure, border: float | None
) -> None:
    pick = KeepRule(measure=measure).value
    sides = [
        np.array([pick(score) for score, flag in zip(scores, kept, strict=True) if flag == side])
        for side in (True, False)
    ]
    infinite = sum(int(np.isinf(side).sum()) for side in sides)
    finite = [side[np.isfinite(side)] for side in sides]
    bins = np.histogram_bin_edges(np.concatenate(finite), bins=min(60, max(10, round(math.sqrt(len(scores)) * 2))))
    labels = [f'kept: {len(sides[0])}', f'dropped: {len(sides[1])}']
    axes.hist(finite, bins=[*bins], stacked=True, color=[_KEPT, _DROPPED], label=labels)
    if border is not None and math.isfinite(border):
        axes.axvline(border, color='black', linestyle='--', label=f'border: {border:.4g}')
    same = f'; {infinite} are the same as their twins and not drawn' if infinite else ''
    axes.set_xlabel(f'{_LABELS[measure]}{same}')
    axes.set_ylabel('pictures')
    axes.legend()


def _draw_example(axes: Axes, score: PictureScore, picture: NDArray[np.uint8], kept: bool, is_judged: bool) -> None:
    axes.imshow(_most_detailed_part(picture), interpolation='none')
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color=_KEPT if kept else _DROPPED, linewidth=4)
    said = f', {"kept" if kept else "dropped"}' if is_judged else ''
    psnr = '' if score.psnr is None else f', {score.psnr:.2f} dB'
    name = score.name if len(score.name) <= 34 else f'...{score.name[-31:]}'
    axes.set_title(f'{_ascii(name)}\n{score.blur:.3f}{psnr}{said}', fontsize='small', parse_math=False)


def _spread(ranked: Sequence[PictureScore]) -> list[PictureScore]:
    places = np.linspace(0, len(ranked) - 1, min(_EXAMPLES, len(ranked))).round().astype(int)
    return [ranked[place] for place in places]


def _nearest(ranked: Sequence[PictureScore], rule: KeepRule, border: float) -> list[PictureScore]:
    """Half of the examples from either side of the border, in the order of ``ranked``."""
    blur_grows = KeepRule(measure=rule.measure)
    at = blur_grows.strength(PictureScore('', border, border))
    below = sum(
        blur_grows.strength(score) < at or (rule.side == 'sharp' and blur_grows.strength(score) == at)
        for score in ranked
    )
    start = min(max(below - _EXAMPLES // 2, 0), max(len(ranked) - _EXAMPLES, 0))
    return [*ranked[start : start + _EXAMPLES]]


def _most_detailed_part(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    size = min(height, width, _EXAMPLE_PIXELS)
    corners = [
        (int(top), int(left)) for top in np.linspace(0, height - size, 3) for left in np.linspace(0, width - size, 3)
    ]
    parts = [picture[top : top + size, left : left + size] for top, left in corners]
    return max(parts, key=lambda part: float(part.std()))


def _ascii(text: str) -> str:
    """Names of any script without the warnings of a font that lacks it."""
    return text.encode('ascii', 'backslashreplace').decode('ascii')
