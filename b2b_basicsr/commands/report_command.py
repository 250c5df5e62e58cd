"""``b2b report``: a training or a test to look at."""

from __future__ import annotations

from pathlib import Path

import click

from b2b_basicsr.errors import UserError


@click.command()
@click.argument('run', type=click.Path(path_type=Path))
@click.option(
    '-o',
    '--out',
    type=click.Path(path_type=Path),
    help='The page, in a folder that is there; replaced if it is there.  [default: RUN/report.html; of b2b bench gain '
    'RUN/index.html]',
)
@click.option(
    '--iter',
    'iteration',
    type=click.IntRange(min=0),
    help='Of a training: the validation to show.  [default: the best by val: best if it saved pictures, else the last]',
)
@click.option(
    '--pictures',
    type=click.IntRange(min=0),
    default=24,
    show_default=True,
    help='Embed this many pictures of each set at most, spread evenly from the least to the largest gain.',
)
@click.option(
    '--max-side',
    type=click.IntRange(min=16),
    default=1280,
    show_default=True,
    help='Make larger pictures smaller, to this many pixels on their longer side.',
)
@click.option(
    '--quality',
    type=click.IntRange(1, 100),
    default=95,
    show_default=True,
    help='Of the embedded pictures (WebP); 100 is lossless, and some seven times as large.',
)
def report(run: Path, out: Path | None, iteration: int | None, pictures: int, max_side: int, quality: int) -> None:
    """Write one HTML page about RUN: a training (experiments/NAME), a test (results/NAME), a folder of b2b bench gain.

    It holds the scores with the gain, the curves of a training, and the pictures, to compare by a slider or side by
    side. It needs no other file and no network.
    """
    from b2b_basicsr.gain.results import is_begun_gain_folder, is_gain_folder
    from b2b_basicsr.report.run_folder import open_run, report_file

    if is_gain_folder(run):
        _report_gain(run, out, iteration, pictures, max_side, quality)
        return
    if is_begun_gain_folder(run):
        raise UserError(f'{run}: b2b bench gain has no results there yet; b2b bench gain -o {run} goes on')
    opened = open_run(run)
    page = report_file(opened, out)

    # Only now: drawing and encoding take seconds to load.
    from b2b_basicsr.report.embedded_pictures import Encoding
    from b2b_basicsr.report.run_report import write_report

    write_report(opened, page, iteration, pictures, Encoding(max_side, quality))
    click.echo(f'Page: {page} ({page.stat().st_size / 2**20:.1f} MiB)')


def _report_gain(
    folder: Path, out: Path | None, iteration: int | None, pictures: int, max_side: int, quality: int
) -> None:
    if iteration is not None:
        raise UserError(
            f'--iter: {folder} is a folder of b2b bench gain; give experiments/NAME in it, or leave --iter out'
        )
    from b2b_basicsr.gain.page import write_gain_page
    from b2b_basicsr.report.embedded_pictures import Encoding

    page = write_gain_page(folder, out, pictures, Encoding(max_side, quality))
    click.echo(f'Page: {page} ({page.stat().st_size / 2**20:.1f} MiB)')
