"""The blur of the target and of each candidate, as curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from b2b_basicsr.rank_known.ranking import Ranking
from b2b_basicsr.rank_known.spectrum import Spectrum, frequencies

_DIRECTIONS = {0: 'along the rows', 45: 'diagonal, rising', 90: 'along the columns', 135: 'diagonal, falling'}
_HALF_SECTOR = 22.5
_BANDS = 20
_HIGHEST = 0.5


def draw_curves(path: Path, ranking: Ranking) -> None:
    """Draws what is left of each frequency in four directions, as PNG: the target in black, candidates in colours.

    Where a candidate's curve lies above the target's, G must sharpen; where it is near 0, its deblurrer has nothing to
    begin with.

    Args:
        path: of the PNG file.
        ranking: the candidates stand in the legend in its order.
    """
    figure = Figure(figsize=(16, 4.6), dpi=100, layout='constrained')
    FigureCanvasAgg(figure)
    figure.suptitle('Detail that blur leaves: 1 all, 0 none')
    for axes, (direction, title) in zip(figure.subplots(1, 4, sharey=True), _DIRECTIONS.items(), strict=True):
        for ranked in ranking.ranked:
            axes.plot(*_curve(ranking.known[ranked.name].mtf, direction), label=_label(ranked.name))
        axes.plot(*_curve(ranking.target.mtf, direction), color='black', linewidth=2.5, label='target')
        axes.set_title(title)
        axes.set_xlabel('cycles a pixel')
        axes.set_ylim(0, 1.02)
        axes.grid(alpha=0.3)
    figure.axes[-1].legend()
    figure.savefig(path, format='png')


def _label(name: str) -> str:
    """The name, as Matplotlib shows it whatever is in it: one that begins with ``_`` would not be in the legend."""
    plain = name.encode('ascii', 'backslashreplace').decode('ascii').replace('$', r'\$')
    return f' {plain}' if plain.startswith('_') else plain


def _curve(mtf: Spectrum, direction: float) -> tuple[list[float], list[float]]:
    """Frequencies, and the root mean square there, in a sector about a direction."""
    frequency, angle = frequencies(mtf.shape[0])
    apart = np.abs(angle - direction)
    inside = (np.minimum(apart, 180 - apart) <= _HALF_SECTOR) & (frequency > 0)
    band = np.minimum(frequency / _HIGHEST * _BANDS, _BANDS).astype(int)
    places = [place for place in range(_BANDS) if (inside & (band == place)).any()]
    middles = [float(frequency[inside & (band == place)].mean()) for place in places]
    return middles, [float(np.sqrt((mtf[inside & (band == place)] ** 2).mean())) for place in places]
