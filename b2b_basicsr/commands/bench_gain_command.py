"""``b2b bench gain``: what Blur2Blur gains."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from b2b_basicsr.commands.stop_signals import end_as_by_ctrl_c
from b2b_basicsr.gain.recipes import SIZES
from b2b_basicsr.gain.variants import VARIANTS


class _NameOf(click.ParamType[str]):
    """One of some names, which are loaded when they are needed: loading some of them takes torch."""

    name = 'name'

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self._names = names

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(click.Choice(list(self._names())).convert(value, param, ctx))


def _cameras() -> Iterable[str]:
    from b2b_basicsr.gain.cameras import target_cameras

    return target_cameras(None)


def _known_cameras() -> Iterable[str]:
    from b2b_basicsr.gain.cameras import known_cameras

    return known_cameras()


def _stages() -> Iterable[str]:
    from b2b_basicsr.gain.stages import STAGES

    return STAGES


_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(name='gain')
@click.option(
    '--photos',
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help='Folder of 16 photographs or more, of different scenes; needed while pictures are still to be made.',
)
@click.option(
    '-o',
    '--out',
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help='Folder for pictures, trainings, results and the page; what is done in it is not done again.',
)
@click.option(
    '--kernels',
    type=_FILE,
    help='Blur kernels of the shake camera, .npz of arrays [k, k] or .npy [n, k, k].  [default: simulated ones]',
)
@click.option(
    '--size',
    type=click.Choice(list(SIZES)),
    metavar='NAME',
    help=f"{'; '.join(f'{name}: {size.about}' for name, size in SIZES.items())}.  [default: OUT's, or cpu]",
)
@click.option(
    '--camera',
    'cameras',
    type=_NameOf(_cameras),
    multiple=True,
    help='shake, defocus, turning; again for more.  [default: all; of size tiny, defocus]',
)
@click.option(
    '--known',
    type=_NameOf(_known_cameras),
    multiple=True,
    help='Camera that the deblurrer knows: horizontal, vertical, short, long, any_direction.  [default: horizontal]',
)
@click.option(
    '--variant',
    'variants',
    type=click.Choice(list(VARIANTS)),
    metavar='NAME',
    multiple=True,
    help=f"Of the translator's training: {', '.join(VARIANTS)}; again for more.  [default: recipe]",
)
@click.option(
    '--seed',
    'seeds',
    type=click.IntRange(0, 2**31 - 1),
    multiple=True,
    help='Of all trainings.  [default: 0]',
)
@click.option(
    '--stage',
    'stages',
    type=_NameOf(_stages),
    multiple=True,
    help='data, deblur, kernel, translate, oracle, score; again for more.  [default: all that are not done]',
)
@click.option(
    '--merge',
    type=_FILE,
    multiple=True,
    help="Another machine's results.json, whose rows are taken in; alone, nothing is run.",
)
@click.option('--json', 'as_json', is_flag=True, help='Print all results once more, as JSON, on the last line.')
@click.pass_context
def gain(
    context: click.Context,
    photos: Path | None,
    out: Path,
    kernels: Path | None,
    size: str | None,
    cameras: tuple[str, ...],
    known: tuple[str, ...],
    variants: tuple[str, ...],
    seeds: tuple[int, ...],
    stages: tuple[str, ...],
    merge: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Measure Blur2Blur's claim on your photographs: what translating an unknown blur into a known one gains.

    Scenes are split once. A deblurrer is trained for one camera's blur, and a translator for each of three other
    cameras; what no training saw is scored blurry, deblurred directly, translated and deblurred, and by the deblurrer
    fine-tuned on true pairs. Every stage is an option file of its own (OUT/options), resumes where it was stopped, and
    is not done again. OUT/results.json keeps all results, OUT/index.html shows them.
    """
    from b2b_basicsr.gain.run import Asked, run_gain
    from b2b_basicsr.gain.summary import as_text, highlight, tables

    end_as_by_ctrl_c(context)
    asked = Asked(cameras, known, variants, seeds, stages)
    try:
        rows = run_gain(out, photos, kernels, size, asked, merge, click.echo)
    except KeyboardInterrupt as stop:
        raise click.Abort('stopped; the same command goes on') from stop
    for table in tables(rows):
        click.echo(f'\n{as_text(table)}')
    if highlight(rows):
        click.echo(f'\n{highlight(rows)}')
    if as_json:
        click.echo(json.dumps([row.model_dump() for row in rows]))
