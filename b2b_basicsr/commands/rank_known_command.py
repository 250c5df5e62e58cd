"""``b2b rank-known``: which known set to choose for a target camera."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click

from b2b_basicsr.commands.stop_signals import end_as_by_ctrl_c

_PATH = click.Path(path_type=Path)

_LEGEND = """\
PSNR in dB of what is expected; only differences mean something (docs/ranking.md). sharpen: if all that went wrong were
detail that G would have to add, as the target's blur leaves less of it than the known blur; lost: if it were what the
known blur takes away for good; restored: both."""

_LEGEND_OF_DEBLURRERS = (
    'direct: the deblurrer without G; gain: restored less direct. lost is measured on its own pairs.'
)


@click.command(name='rank-known')
@click.argument('candidates', nargs=-1, required=True, metavar='CANDIDATE...')
@click.option('--blurry', required=True, metavar='PATH', help='B: blurry pictures of the target camera.')
@click.option('--sharp', required=True, metavar='PATH', help='S: sharp pictures of that camera, of other scenes.')
@click.option(
    '--deblurrer',
    'deblurrers',
    multiple=True,
    metavar='NAME=FILE',
    help="A candidate's deblurrer, which is measured with and without its own blur. For all candidates or for none.",
)
@click.option(
    '--deblurrer-opt', 'deblurrer_opts', multiple=True, metavar='NAME=FILE', help='Option file that describes it.'
)
@click.option(
    '--by',
    type=click.Choice(['restored', 'gain']),
    default='restored',
    show_default=True,
    help='What the candidates are ordered by.',
)
@click.option(
    '--pictures', type=click.IntRange(min=1), default=200, show_default=True, help='Looked at of each set, at most.'
)
@click.option(
    '--resize',
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Shorter side of B and S in pixels, as the training's resize; 0: as they are.",
)
@click.option('--seed', type=click.IntRange(min=0), default=0, show_default=True, help='Of the choice of pictures.')
@click.option(
    '--device', help='Of the deblurrers: cpu, cuda, cuda:1, ...  [default: cuda where there is one, else cpu]'
)
@click.option('-o', '--out', type=_PATH, help='Folder for ranking.json and curves.png; is made.')
@click.option('--json', 'as_json', is_flag=True, help='Print everything once more, as JSON, on the last line.')
@click.pass_context
def rank_known(
    context: click.Context,
    candidates: tuple[str, ...],
    blurry: str,
    sharp: str,
    deblurrers: tuple[str, ...],
    deblurrer_opts: tuple[str, ...],
    by: Literal['restored', 'gain'],
    pictures: int,
    resize: int,
    seed: int,
    device: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Rank known sets (C' and D') for a target camera, without pairs of that camera.

    CANDIDATE is [NAME=]FOLDER with pairs in train/blur and train/sharp (as b2b prepare lays them out), in blur and
    sharp, or in blurry and gt; or [NAME=]BLUR_FOLDER:SHARP_FOLDER. Folders may be LMDBs (NAME.lmdb). Nothing is
    trained.
    """
    end_as_by_ctrl_c(context)

    from tabulate import tabulate

    from b2b_basicsr.errors import UserError
    from b2b_basicsr.prepare.write_errors import cannot_write
    from b2b_basicsr.rank_known import ranking
    from b2b_basicsr.rank_known.candidate import candidates_of, pictures_of
    from b2b_basicsr.rank_known.curves_picture import draw_curves
    from b2b_basicsr.rank_known.deblurrers import check_deblurrers, deblurrer_from, files_by_candidate
    from b2b_basicsr.whole_file import whole_file

    blur_source, sharp_source = pictures_of('--blurry', blurry), pictures_of('--sharp', sharp)
    opened = candidates_of(candidates)
    files = files_by_candidate('--deblurrer', deblurrers, opened)
    option_files = files_by_candidate('--deblurrer-opt', deblurrer_opts, opened)
    check_deblurrers(files, option_files, opened)
    if device is not None and not files:
        raise UserError('--device: nothing but deblurrers computes there; give --deblurrer NAME=FILE, or leave it out')
    loaded = {name: deblurrer_from(file, option_files.get(name), device) for name, file in files.items()}
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)  # before the work, lest it be for nothing
        except OSError as cause:
            raise cannot_write(out, cause) from cause
    found = ranking.rank_known(blur_source, sharp_source, opened, loaded, by, pictures, resize or None, seed)

    rows = found.rows()
    content = json.dumps(ranking.ranking_json(found, by, blurry, sharp))
    # Names may look like numbers, which tabulate would round.
    cells = [[f'{cell:.2f}' if isinstance(cell, float) else str(cell) for cell in row.values()] for row in rows]
    align = ['left' if isinstance(cell, str) else 'right' for cell in rows[0].values()]
    click.echo(tabulate(cells, headers=[*rows[0]], colalign=align, disable_numparse=True))
    click.echo(_LEGEND)
    if files:
        click.echo(_LEGEND_OF_DEBLURRERS)
    if as_json:
        click.echo(content)
    if out is None:
        return
    try:
        with whole_file(out / 'ranking.json') as file:
            file.write_text(content + '\n', encoding='utf-8')
        with whole_file(out / 'curves.png') as file:
            draw_curves(file, found)
    except OSError as cause:
        raise cannot_write(out, cause) from cause
    click.echo(f'Look at {out / "curves.png"}', err=True)  # JSON stays the last line
