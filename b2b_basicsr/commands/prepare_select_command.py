"""``b2b prepare select``: pictures chosen by how blurred they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import click

_FOLDER = click.Path(path_type=Path)


@click.command(name='select')
@click.argument('folder', type=_FOLDER)
@click.option(
    '-o',
    '--out',
    type=_FOLDER,
    help='Folder for the kept pictures and the report; must not be there. Without it only a report is written, to '
    'results/select/NAME.',
)
@click.option('--keep-share', type=float, help='Keep this share of the pictures.')
@click.option('--threshold', type=float, help='Keep the pictures with at least this blur score (at most, for sharp).')
@click.option(
    '--keep',
    'side',
    type=click.Choice(['blurred', 'sharp']),
    default='blurred',
    show_default=True,
    help='What to keep: blurred ones (for B), or sharp ones (for S).',
)
@click.option('--sharp', type=_FOLDER, help='The sharp twins, by relative path: PSNR is scored too, pairs are kept.')
@click.option(
    '--by',
    'measure',
    type=click.Choice(['blur', 'psnr']),
    default='blur',
    show_default=True,
    help='What chooses. With psnr, --threshold is in dB, and low PSNR means strongly blurred.',
)
@click.option('--max-per-scene', type=click.IntRange(min=1), help='Keep this many of each folder at most.')
@click.option(
    '--resize',
    type=click.IntRange(min=0),
    default=512,
    show_default=True,
    help="Shorter side in pixels that pictures are scored at, as the training's resize; 0: their own size.",
)
@click.option('--workers', type=click.IntRange(min=1), help='Pictures scored at once.  [default: the number of cores]')
@click.option('--scores', type=_FOLDER, help='Take the scores from this earlier report instead of scoring again.')
@click.option('--skip-unreadable', is_flag=True, help='Leave unreadable pictures out (exit status 1 if there are any).')
@click.option('--force', is_flag=True, help='Replace an earlier result of b2b prepare.')
def select(
    folder: Path,
    out: Path | None,
    keep_share: float | None,
    threshold: float | None,
    side: Literal['blurred', 'sharp'],
    sharp: Path | None,
    measure: Literal['blur', 'psnr'],
    max_per_scene: int | None,
    resize: int,
    workers: int | None,
    scores: Path | None,
    skip_unreadable: bool,
    force: bool,
) -> None:
    """Score the blur of the pictures in FOLDER, look at the histogram, and keep a part of them.

    Without -o, or without a rule (--keep-share, --threshold, --max-per-scene), nothing is kept: the scores
    (scores.csv), their histogram with examples (histogram.png) and their quantiles help to choose a threshold. FOLDER
    may be an LMDB (NAME.lmdb).
    """
    from b2b_basicsr.prepare.select_pictures import HISTOGRAM_FILE, SelectSettings, quantile_table, select_pictures
    from b2b_basicsr.prepare.select_rule import KeepRule

    rule = KeepRule(side, measure, keep_share, threshold, max_per_scene)
    write_kept = out is not None and rule.is_given
    if out is None:
        out = Path('results', 'select', '_'.join(folder.absolute().parts[1:][-3:]))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    settings = SelectSettings(resize or None, workers or cores, skip_unreadable, scores, write_kept, force)
    selection = select_pictures(folder, sharp, out, rule, settings)

    click.echo(quantile_table(selection.scores))
    count = f'{sum(selection.kept)} of {len(selection.scores)}'
    if selection.folders:
        click.echo(f'{count} kept ({rule}): {" and ".join(map(str, selection.folders))}')
        if selection.copied:
            click.echo(f'note: {selection.copied} files copied, as the file system refuses hard links to the source')
    elif rule.is_given:
        click.echo(f'{count} would be kept ({rule}); give -o OUT to write them')
    else:
        click.echo('Only scored: choose by --threshold or --keep-share, and give -o OUT.')
    if not selection.folders and not scores:
        click.echo(f'--scores {out} spares scoring again.')
    click.echo(f'Look at {out / HISTOGRAM_FILE}')
    for line in selection.unreadable.values():
        click.echo(f'left out: {line}', err=True)
    if selection.unreadable:
        raise SystemExit(1)
