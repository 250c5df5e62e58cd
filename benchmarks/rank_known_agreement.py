"""Compares the ranking of ``b2b rank-known`` with what ``b2b bench gain`` measured, on the folder of the latter.

For each target camera the known sets that were measured with it are ranked, as a user would rank them, without pairs of
that camera; then the order is compared with that of the measured gain, and of the measured PSNR of restored pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import click
import numpy as np
from scipy.stats import kendalltau, spearmanr

from b2b_basicsr.bench.timing_table import Table, Value, print_tables
from b2b_basicsr.errors import UserError
from b2b_basicsr.gain.results import NAME, Row, read_rows
from b2b_basicsr.rank_known.candidate import candidate_of, pictures_of
from b2b_basicsr.rank_known.deblurrers import Deblur, deblurrer_from
from b2b_basicsr.rank_known.expected import error_of, psnr
from b2b_basicsr.rank_known.measured_blur import MeasuredKnown, MeasuredTarget
from b2b_basicsr.rank_known.ranking import rank_known
from b2b_basicsr.rank_known.sample import read_sampled, sampled, tile_side
from b2b_basicsr.rank_known.spectrum import energy, frequencies, luminance, power_spectrum

_FEWEST = 3
"""Known sets of a camera; fewer have no order to speak of."""


@dataclass(frozen=True)
class Compared:
    """A known set for a camera: what was expected, and what was measured (in dB, over the seeds)."""

    camera: str
    known: str
    seeds: int
    sharpen: float
    lost: float
    expected_restored: float
    expected_gain: float | None
    restored: float
    gain: float


def compare(folder: Path, rows: Sequence[Row], deblurrers: dict[str, Deblur], pictures: int) -> list[Compared]:
    """Ranks the known sets of each camera and puts what was measured beside it.

    Args:
        folder: of the benchmark.
        rows: of one size and variant, and of one set of photographs and kernels.
        deblurrers: by the known camera's name; or none.
        pictures: of each set that are looked at, at most.

    Raises:
        UserError: if a set is missing.
    """
    compared = []
    for camera in sorted({row.camera for row in rows}):
        measured = {
            known: _mean_scores([row for row in rows if row.camera == camera and row.known == known])
            for known in sorted({row.known for row in rows if row.camera == camera})
        }
        candidates = [candidate_of(str(folder / 'data' / known)) for known, scores in measured.items() if scores]
        if len(candidates) < _FEWEST:
            click.echo(
                f'{camera}: measured with {len(candidates)} known sets; left out, {_FEWEST} are needed', err=True
            )
            continue
        ranking = rank_known(
            pictures_of(NAME, folder / 'data' / camera / 'blurry'),
            pictures_of(NAME, folder / 'data' / camera / 'sharp'),
            candidates,
            {candidate.name: deblurrers[candidate.name] for candidate in candidates if deblurrers},
            pictures=pictures,
        )
        for one in ranking.ranked:
            scores = measured[one.name]
            if scores is None:  # no candidate, above
                continue
            seeds, restored, gain = scores
            expected = one.expected
            compared.append(
                Compared(
                    camera,
                    one.name,
                    seeds,
                    expected.sharpen,
                    expected.lost,
                    expected.restored,
                    expected.gain,
                    restored,
                    gain,
                )
            )
    return compared


def _mean_scores(rows: Sequence[Row]) -> tuple[int, float, float] | None:
    """How many rows have both scores, and their mean PSNR restored and gain; ``None`` if no row has."""
    scores = [(row.psnr('restored'), row.gain) for row in rows]
    whole = [(restored, gain) for restored, gain in scores if restored is not None and gain is not None]
    if not whole:
        return None
    return len(whole), fmean(restored for restored, _ in whole), fmean(gain for _, gain in whole)


def check(folder: Path, cameras: Sequence[str], pictures: int) -> list[dict[str, Value]]:
    """What is told of each camera's blur without twins, against its twins, which the benchmark has.

    Args:
        folder: of the benchmark.
        cameras: names of target cameras.
        pictures: of each set that are looked at, at most.

    Returns:
        For each camera the mean difference of the two MTFs from 0.03 to 0.35 cycles a pixel, and the PSNR of blurry
        pictures (of the mean error, of luminance): as three formulas tell it from the MTF, and as it is.
    """
    rows: list[dict[str, Value]] = []
    for camera in cameras:
        twins = candidate_of(str(folder / 'data' / camera))
        clear = pictures_of(NAME, folder / 'data' / camera / 'sharp')
        pairs, places = sampled(twins.pairs(), pictures, 0), sampled(range(len(clear)), pictures, 0)
        blurry = [place for place, _ in pairs]
        tile = tile_side([(twins.blur, blurry, None), (clear, places, None)])
        told = MeasuredTarget(twins.blur, clear, None, tile).measure(blurry, places, lambda: None)
        true = MeasuredKnown(twins, pairs, tile).measure(lambda: None)
        frequency, _ = frequencies(tile)
        middle = (frequency >= 0.03) & (frequency <= 0.35)
        off = np.zeros_like(told.mtf)
        for place, twin in pairs:
            one, other = (luminance(read_sampled(*at)) for at in ((twins.blur, place), (twins.sharp, twin)))
            off += power_spectrum(one - other, tile) / len(pairs)
        rows.append(
            {
                'camera': camera,
                'MTF off by': float(np.abs(told.mtf - true.mtf)[middle].mean()),
                'blurry, 1 - a': psnr(energy(told.sharp * error_of(told.mtf))),
                '(1 - a)^2': psnr(energy(told.sharp * (1 - told.mtf) ** 2)),
                '1 - a^2': psnr(energy(told.sharp * (1 - told.mtf**2))),
                'true': psnr(energy(off)),
            }
        )
    return rows


def agreement(compared: Sequence[Compared], expected: str, measured: str) -> tuple[float, float, int]:
    """Spearman's and Kendall's rank correlation, each the mean over the cameras.

    Args:
        compared: known sets of one or more cameras.
        expected: a field of them.
        measured: another one.

    Returns:
        Both correlations, and for how many cameras the best by ``expected`` is the best by ``measured``.
    """
    spearman, kendall, hits = [], [], 0
    for camera in sorted({one.camera for one in compared}):
        own = [one for one in compared if one.camera == camera]
        pair = [[float(getattr(one, field)) for one in own] for field in (expected, measured)]
        spearman.append(float(spearmanr(*pair)[0]))
        kendall.append(float(kendalltau(*pair)[0]))
        hits += pair[0].index(max(pair[0])) == pair[1].index(max(pair[1]))
    return fmean(spearman), fmean(kendall), hits


@click.command()
@click.argument('folder', type=click.Path(path_type=Path))
@click.option('--variant', default='recipe', show_default=True)
@click.option('--size', help='Of the runs.  [default: the one there is]')
@click.option(
    '--photos', help='Digest of their photographs, of which FOLDER has the data.  [default: the one there is]'
)
@click.option('--kernels', help='Digest of their kernels, or simulated.  [default: the one there is]')
@click.option(
    '--deblurrers',
    'pattern',
    help='The deblurrers, {known} standing for the name of the known camera; to measure them.',
)
@click.option('--pictures', type=click.IntRange(min=1), default=200, show_default=True)
@click.option('--json', 'as_json', is_flag=True, help='Print everything again as JSON, on the last line.')
def main(
    folder: Path,
    variant: str,
    size: str | None,
    photos: str | None,
    kernels: str | None,
    pattern: str | None,
    pictures: int,
    as_json: bool,
) -> None:
    """Print what was expected and measured of each known set in FOLDER, of b2b bench gain, and how the orders agree."""
    rows = [row for row in read_rows(folder / NAME) if row.variant == variant]
    for field, wanted in {'size': size, 'photos': photos, 'kernels': kernels}.items():
        rows = [row for row in rows if wanted in (None, getattr(row, field))]
        there = sorted({str(getattr(row, field)) for row in rows})
        if len(there) != 1:
            raise UserError(
                f'--{field}: {folder} has rows of variant {variant} of {", ".join(there) or f"no such {field}"}; '
                'name one'
            )
    deblurrers = {}
    if pattern is not None:
        for known in sorted({row.known for row in rows}):
            deblurrers[known] = deblurrer_from(Path(pattern.replace('{known}', known)), None, None)
    compared = compare(folder, rows, deblurrers, pictures)
    if not compared:
        raise UserError(f'{folder}: no camera was measured with {_FEWEST} known sets; run b2b bench gain with others')
    cameras = len({one.camera for one in compared})
    scores = ['expected_restored', 'expected_gain'] if deblurrers else ['expected_restored', 'sharpen', 'lost']
    found: list[dict[str, Value]] = []
    for score in scores:
        for measured in ('gain', 'restored'):
            spearman, kendall, hits = agreement(compared, score, measured)
            found.append(
                {
                    'score': score,
                    'measured': measured,
                    'Spearman': spearman,
                    'Kendall': kendall,
                    'best found': f'{hits} of {cameras}',
                }
            )
    each: list[dict[str, Value]] = [
        {column: value for column, value in asdict(one).items() if value is not None} for one in compared
    ]
    checked = check(folder, sorted({one.camera for one in compared}), pictures)
    tables = [
        Table('Known sets, in the order expected; PSNR in dB', each),
        Table('Agreement, mean of cameras', found),
        Table('Blur told without twins, checked by twins; PSNR in dB', checked),
    ]
    print_tables(f'b2b rank-known against b2b bench gain, size {rows[0].size}, variant {variant}', tables, as_json)


if __name__ == '__main__':
    main()
