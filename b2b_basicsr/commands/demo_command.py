"""``b2b demo``: the whole pipeline at small scale."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    '-o',
    '--out',
    type=click.Path(file_okay=False, path_type=Path),
    default=Path('results/demo'),
    show_default=True,
    help='Folder for data, trainings, pictures and the page. What an earlier demo left there is replaced.',
)
@click.option('--seed', type=click.IntRange(min=0), default=0, show_default=True, help='Of all random numbers.')
def demo(out: Path, seed: int) -> None:
    """See Blur2Blur work on real photographs, in minutes, on a CPU.

    Trains a deblurrer for one known blur, then Blur2Blur from another, unknown blur to it, and shows held-out
    photographs: blurry, deblurred directly, deblurred after translation, sharp.
    """
    from b2b_basicsr.demo.run import run_demo

    run_demo(out, seed)
