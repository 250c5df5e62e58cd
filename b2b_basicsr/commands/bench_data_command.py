"""``b2b bench data``: what a picture costs a data worker."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name='data')
@click.option(
    '--photos',
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help='Folder of pictures of your own, made into 720p files.  [default: photographs that come in packages]',
)
@click.option('--kind', type=click.Choice(['jpeg', 'png', 'all']), default='all', show_default=True, help='Of files.')
@click.option('--count', type=click.IntRange(min=2), default=48, show_default=True, help='Pictures a turn; even.')
@click.option('--rounds', type=click.IntRange(min=1), default=7, show_default=True, help='Turns of each form.')
@click.option('--json', 'as_json', is_flag=True, help='Print everything once more, as JSON, on the last line.')
def data(photos: Path | None, kind: str, count: int, rounds: int, as_json: bool) -> None:
    """Measure the data loader: pictures a second and core.

    The data set, from files and LMDB, beside a plain pipeline of the same steps (open, convert, resize, crop, flip, to
    tensor), decoding alone, and what preparing the pictures beforehand buys. Everything computes in one thread, and the
    files are small enough to stay in the system's cache: no disk is measured.
    """
    from b2b_basicsr.errors import UserError

    if count % 2:
        raise UserError(f'--count: {count}: a sample holds two pictures; give an even number')

    from b2b_basicsr.bench.data_bench import KINDS, DataBench
    from b2b_basicsr.bench.timing_table import print_tables

    kinds = tuple(known for known in KINDS if kind in (known, 'all'))
    tables = DataBench(kinds, count, photos).measure(rounds)
    print_tables('Data: from files to crops', tables, as_json)
