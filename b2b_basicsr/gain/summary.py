"""Tables of what `b2b bench gain` measured: means over cameras, means and spreads over seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Literal, TypeVar

from tabulate import tabulate

from b2b_basicsr.gain.results import Row
from b2b_basicsr.gain.variants import VARIANTS
from b2b_basicsr.report.score_table import Cell, Table

RECIPE = next(iter(VARIANTS))

Value = Callable[[Row], float | None]
Key = TypeVar('Key')


@dataclass(frozen=True)
class Setting:
    """What rows must have in common to be compared."""

    photos: str
    kernels: str
    size: str
    known: str

    @property
    def said(self) -> str:
        """For a caption."""
        return f'size {self.size}, known camera {self.known}, photographs {self.photos[:8]}, kernels {self.kernels[:9]}'


def settings(rows: Iterable[Row]) -> dict[Setting, list[Row]]:
    """Rows by what they have in common, the largest group first."""
    groups: dict[Setting, list[Row]] = {}
    for row in rows:
        groups.setdefault(Setting(row.photos, row.kernels, row.size, row.known), []).append(row)
    return dict(sorted(groups.items(), key=lambda group: -len(group[1])))


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over seeds.

    Args:
        mean: of the values.
        deviation: of the sample; ``None`` for one value.
        count: of values.
    """

    mean: float
    deviation: float | None
    count: int


def spread(values: Iterable[float | None]) -> Spread | None:
    """Of those values that are there; ``None`` if none is.

    Example:
        >>> spread([1.0, None, 3.0])
        Spread(mean=2.0, deviation=1.4142135623730951, count=2)
    """
    there = [value for value in values if value is not None and not math.isnan(value)]
    if not there:
        return None
    return Spread(fmean(there), stdev(there) if len(there) > 1 else None, len(there))


def over_cameras(rows: Sequence[Row], value: Value) -> Spread | None:
    """The mean over cameras, of each seed that has all of them; mean and deviation over those seeds.

    ``None`` if no seed has all cameras.
    """
    cameras = {row.camera for row in rows}
    found: dict[int, dict[str, float]] = {}
    for row in rows:
        measured = value(row)
        if measured is not None:
            found.setdefault(row.seed, {})[row.camera] = measured
    return spread(fmean(of_cameras.values()) for of_cameras in found.values() if of_cameras.keys() == cameras)


def over_seeds(values: Iterable[tuple[int, float | None]]) -> Spread | None:
    """The mean of each seed's values, whichever cameras they are of; mean and deviation over the seeds.

    Args:
        values: seed and value.

    Example:
        >>> over_seeds([(0, 1.0), (0, 2.0), (1, None)])
        Spread(mean=1.5, deviation=None, count=1)
    """
    found: dict[int, list[float]] = {}
    for seed, value in values:
        if value is not None:
            found.setdefault(seed, []).append(value)
    return spread(map(fmean, found.values()))


def of_one_training(rows: Sequence[Row]) -> list[Row]:
    """Without rows of other seeds that were trained by other options than the newest of their camera and variant."""
    newest: dict[tuple[object, ...], Row] = {}
    for row in sorted(rows, key=lambda row: row.measured_at):
        newest[row.key[:-1]] = row
    return [row for row in rows if row.trained_by == newest[row.key[:-1]].trained_by]


def tables(rows: Sequence[Row]) -> list[Table]:
    """All tables: of the recipe's cameras, and of the other variants, for each known camera and setting."""
    made: list[Table] = []
    for setting, every in settings(rows).items():
        group, of_setting = of_one_training(every), len(made)
        recipe = [row for row in group if row.variant == RECIPE]
        if recipe:
            made.append(_cameras_table(setting, recipe))
            metrics = dict.fromkeys(metric for row in recipe for metric in row.means.get('restored', {}))
            made += [_metric_table(setting, recipe, metric) for metric in metrics if metric != 'psnr']
        if any(row.variant != RECIPE for row in group):
            made.append(_variants_table(setting, group))
        if len(group) < len(every):
            count = len(every) - len(group)
            said = f'Left out: results of other seeds that were trained by other options, {count} in all.'
            made[of_setting] = replace(made[of_setting], note=f'{made[of_setting].note} {said}')
    return made


def highlight(rows: Sequence[Row]) -> str:
    """One line: the recipe's mean gain of the group with most cameras; empty if there is none."""
    groups = [
        (setting, of_one_training([row for row in group if row.variant == RECIPE]))
        for setting, group in settings(rows).items()
    ]
    for setting, recipe in sorted(groups, key=lambda group: -len({row.camera for row in group[1]})):
        gain = over_cameras(recipe, lambda row: row.gain)
        if gain is not None:
            cameras = len({row.camera for row in recipe})
            over = f'the mean over {cameras} cameras' if cameras > 1 else recipe[0].camera
            return (
                f'gain: {_shown(gain, 2, signed=True)} dB ({over}, size {setting.size}, known camera {setting.known})'
            )
    return ''


def as_text(table: Table, style: str = 'simple') -> str:
    """A table under its caption.

    Args:
        table: of :func:`tables`.
        style: one of tabulate's: ``simple``, or ``github`` for Markdown.
    """
    cells = [[cell.text for cell in row] for row in table.rows]
    align = ['left' if head in ('camera', 'variant', 'what') else 'right' for head in table.heads]
    text = tabulate(cells, headers=list(table.heads), tablefmt=style, colalign=align, disable_numparse=True)
    parts = [table.caption, text, *([table.note] if table.note else [])]
    return ('\n\n' if style == 'github' else '\n').join(parts)


def _psnr(kind: str) -> Value:
    return lambda row: row.psnr(kind)


_CAMERA_COLUMNS: Mapping[str, tuple[Value, int, bool]] = {
    'blurry': (_psnr('blurry'), 2, False),
    'direct': (_psnr('direct'), 2, False),
    'restored': (_psnr('restored'), 2, False),
    'oracle': (_psnr('oracle'), 2, False),
    'gain': (lambda row: row.gain, 2, True),
    'gap closed, %': (lambda row: None if row.gap_closed is None else 100 * row.gap_closed, 0, False),
    'known: blurry': (_psnr('known_blurry'), 2, False),
    'deblurred': (_psnr('known_deblurred'), 2, False),
    'through G': (_psnr('known_through_g'), 2, False),
    'harm': (lambda row: row.harm, 2, True),
}
"""Heading -> value, decimals, whether it has a sign."""


def _cameras_table(setting: Setting, rows: Sequence[Row]) -> Table:
    by_camera = _by(rows, lambda row: row.camera)
    lines = []
    for camera, of_camera in by_camera.items():
        cells = [
            _cell(spread(map(value, of_camera)), decimals, signed, head)
            for head, (value, decimals, signed) in _CAMERA_COLUMNS.items()
        ]
        lines.append([Cell(camera), *cells, Cell(_seeds(of_camera))])
    if len(by_camera) > 1:
        cells = [
            _cell(over_cameras(rows, value), decimals, signed, head)
            for head, (value, decimals, signed) in _CAMERA_COLUMNS.items()
        ]
        whole = {seed for seed, of_seed in _by(rows, lambda row: row.seed).items() if len(of_seed) == len(by_camera)}
        lines.append([Cell('mean'), *cells, Cell(str(len(whole)))])
    note = (
        'PSNR in dB; mean ± standard deviation over seeds. The mean is over the seeds that have all cameras. A seed '
        'that lacks a value (no oracle, say) is left out of that column alone, so columns may be of different seeds.'
    )
    if setting.size == 'tiny':
        note = f'Size tiny shows that all of it runs, and no more. {note}'
    return Table(f'Recipe: {setting.said}', ('camera', *_CAMERA_COLUMNS, 'seeds'), lines, note)


def _metric_table(setting: Setting, rows: Sequence[Row], metric: str) -> Table:
    kinds = ('blurry', 'direct', 'restored', 'oracle', 'known_blurry', 'known_deblurred', 'known_through_g')
    lines = []
    for camera, of_camera in _by(rows, lambda row: row.camera).items():
        values = [spread(row.means.get(kind, {}).get(metric) for row in of_camera) for kind in kinds]
        lines.append([Cell(camera), *(Cell(_shown(value, 4)) for value in values), Cell(_seeds(of_camera))])
    heads = ('camera', *(kind.replace('_g', '_G').replace('_', ' ') for kind in kinds), 'seeds')
    return Table(f'Recipe, {metric}: {setting.said}', heads, lines)


def _variants_table(setting: Setting, rows: Sequence[Row]) -> Table:
    """Gains of each variant by camera, and how much better it restores than the recipe, over what both have."""
    cameras = list(_by(rows, lambda row: row.camera))
    recipe = {(row.camera, row.seed): row for row in rows if row.variant == RECIPE}
    found = _by(rows, lambda row: row.variant)
    lines = []
    for name in sorted(found, key=_place):
        of_variant = found[name]
        gains = [spread(row.gain for row in of_variant if row.camera == camera) for camera in cameras]
        differences = [
            (row.seed, _difference(row.psnr('restored'), recipe[row.camera, row.seed].psnr('restored')))
            for row in of_variant
            if (row.camera, row.seed) in recipe
        ]
        better = over_seeds(differences) if name != RECIPE else None
        over_all = [_cell(_mean_of(of_variant, cameras), 2, True, 'gain')] if len(cameras) > 1 else []
        lines.append(
            [
                Cell(name),
                Cell(VARIANTS[name].about if name in VARIANTS else ''),
                *(_cell(gain, 2, True, 'gain') for gain in gains),
                *over_all,
                _cell(better, 2, True, 'gain'),
                _cell(over_seeds((row.seed, row.harm) for row in of_variant), 2, True, 'harm'),
                Cell(_seeds(of_variant)),
            ]
        )
    of_cameras = [f'gain, {camera}' for camera in cameras]
    mean = ['mean gain'] if len(cameras) > 1 else []
    heads = ('variant', 'what', *of_cameras, *mean, 'to recipe', 'harm', 'seeds')
    note = (
        'PSNR in dB; mean ± standard deviation over seeds. To recipe: PSNR restored less that of the recipe, over the '
        'cameras and seeds that both have. It and harm are means over the cameras of each seed first.'
    )
    return Table(f'Variants: {setting.said}', heads, lines, note)


def _mean_of(rows: Sequence[Row], cameras: Sequence[str]) -> Spread | None:
    """Over cameras; ``None`` unless all are there."""
    return over_cameras(rows, lambda row: row.gain) if {row.camera for row in rows} == set(cameras) else None


def _place(variant: str) -> tuple[int, str]:
    names = list(VARIANTS)
    return (names.index(variant) if variant in names else len(names), variant)


def _difference(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second


def _by(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _seeds(rows: Sequence[Row]) -> str:
    return str(len({row.seed for row in rows}))


def _cell(value: Spread | None, decimals: int, signed: bool, head: str) -> Cell:
    tone: Literal['', 'good', 'bad'] = ''
    if value is not None and head in ('gain', 'harm') and abs(value.mean) >= 0.005:
        tone = 'good' if (value.mean > 0) == (head == 'gain') else 'bad'
    return Cell(_shown(value, decimals, signed), tone)


def _shown(value: Spread | None, decimals: int, signed: bool = False) -> str:
    if value is None:
        return '–'
    mean = f'{value.mean:{"+" if signed else ""}.{decimals}f}'
    mean = mean if float(mean) else mean.lstrip('+-')
    return mean if value.deviation is None else f'{mean} ± {value.deviation:.{decimals}f}'
