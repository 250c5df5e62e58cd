"""A row of the results, by what the tests left in their folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from b2b_basicsr.gain.plan import HELD_OUT, KNOWN
from b2b_basicsr.gain.results import Key, Row
from b2b_basicsr.gain.stages import PipelineRun
from b2b_basicsr.gain.workplace import Workplace
from b2b_basicsr.records.picture_scores import ScoredPicture
from b2b_basicsr.records.score_names import BLURRY, DIRECT, GAIN
from b2b_basicsr.report.run_folder import open_run
from b2b_basicsr.report.score_files import read_scores

Means = dict[str, dict[str, float]]


def measured_row(
    workplace: Workplace,
    key: Key,
    score: PipelineRun,
    oracle: PipelineRun | None,
    seconds: Mapping[str, float],
    made_from: Mapping[str, str],
    trained_by: str,
    others: Iterable[Row],
) -> Row:
    """The row of a translator.

    Args:
        workplace: where it was tested.
        key: of the row.
        score: its test, done.
        oracle: the oracle's test, done; ``None`` if it is not.
        seconds: stage -> what it took.
        made_from: of the row.
        trained_by: of the row.
        others: rows from which one without a deblurrer takes ``direct`` and ``known_deblurred``, if they have the same
            camera, known camera and seed, and were made with the same deblurrer.

    Raises:
        UserError: if a table of scores cannot be read.
    """
    photos, kernels, size, camera, known, variant, seed = key
    deblurs = 'network_deblur' in score.options
    metrics = list(score.options['val']['metrics'])
    held_out, own = (read_scores(workplace.folder(score) / f'{name}.csv') for name in (HELD_OUT, KNOWN))
    means: Means = {
        'blurry': _means(held_out, metrics, BLURRY),
        'direct': _means(held_out, metrics, DIRECT),
        'restored': _means(held_out, metrics, ''),
        'known_blurry': _means(own, metrics, BLURRY),
        'known_deblurred': _means(own, metrics, DIRECT),
        'known_through_g': _means(own, metrics, '') if deblurs else {},
    }
    if oracle is not None:
        means['oracle'] = _means(read_scores(workplace.folder(oracle) / f'{HELD_OUT}.csv'), metrics, '')
    if not deblurs:
        same = (row for row in others if row.key == (photos, kernels, size, camera, known, row.variant, seed))
        same = (row for row in same if row.made_from.get('deblur') == made_from['deblur'])
        beside = next((row for row in same if row.means.get('direct')), None)
        if beside is not None:
            means |= {kind: beside.means[kind] for kind in ('direct', 'known_deblurred') if kind in beside.means}
    means = {kind: values for kind, values in means.items() if values}
    gain = _less(means, 'restored', 'direct')
    best = _less(means, 'oracle', 'direct')
    return Row(
        photos=photos,
        kernels=kernels,
        size=size,
        camera=camera,
        known=known,
        variant=variant,
        seed=seed,
        means=means,
        gain=gain,
        gap_closed=gain / best if gain is not None and best is not None and best > 0 else None,
        harm=_less(means, 'known_deblurred', 'known_through_g'),
        pictures={picture.name: picture.values[GAIN] for picture in held_out if GAIN in picture.values},
        seconds=dict(seconds),
        machine=workplace.record(score.earlier[0]).machine,
        iteration=_iteration(workplace, score),
        measured_at=max(workplace.record(test).ended for test in (score, oracle) if test is not None),
        made_from=dict(made_from),
        trained_by=trained_by,
    )


def _means(pictures: Sequence[ScoredPicture], metrics: Iterable[str], ending: str) -> dict[str, float]:
    """Of those metrics that every picture has."""
    found = {metric: [picture.values.get(metric + ending) for picture in pictures] for metric in metrics}
    whole = {metric: [value for value in values if value is not None] for metric, values in found.items()}
    return {
        metric: sum(values) / len(values) for metric, values in whole.items() if values and len(values) == len(pictures)
    }


def _less(means: Means, kind: str, other: str) -> float | None:
    first, second = (means.get(name, {}).get('psnr') for name in (kind, other))
    return None if first is None or second is None else first - second


def _iteration(workplace: Workplace, score: PipelineRun) -> int:
    """Of the weights that were tested: the last, or the best by validation."""
    translate = score.earlier[0]
    if Path(score.options['path']['pretrain_network_g']).name == 'net_g_best.pth':
        return open_run(workplace.folder(translate)).chosen_iteration(None)[0]
    return translate.iterations
