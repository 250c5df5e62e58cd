"""``b2b prepare known``: known blur K, made once and written to disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from b2b_basicsr.errors import UserError
from b2b_basicsr.options.option_file import force_option, read_option_file

if TYPE_CHECKING:
    import torch


@click.command()
@click.option('-opt', 'option_file', required=True, type=click.Path(path_type=Path), help='A training option file.')
@click.option('-o', '--out', type=click.Path(path_type=Path), help='The set to make; "known" beside S by default.')
@click.option('--seed', type=click.IntRange(0), help="The option file's manual_seed by default.")
@click.option('--copies', type=click.IntRange(1), default=1, show_default=True, help='Pictures made of each of S.')
@click.option(
    '--device',
    type=click.Choice(['auto', 'cpu', 'cuda']),
    default='auto',
    show_default=True,
    help='auto: the GPU, or the CPU where there is none or num_gpu is 0.',
)
@click.option(
    '--force_yml', multiple=True, metavar='KEY=VALUE...', help="Change the option file's entries, as in BasicSR."
)
@click.argument('more', nargs=-1, metavar='')
def known(
    option_file: Path,
    out: Path | None,
    seed: int | None,
    copies: int,
    device: str,
    force_yml: tuple[str, ...],
    more: tuple[str, ...],
) -> None:
    """Make known blur K from S, once, by the source that an option file names.

    S is dataroot_sharp (its share, with ratio), at the size of resize; the source is synth_known_opt, frame_mean_opt,
    or network_k with dataroot_known_blur and dataroot_known_sharp. A run that was stopped goes on by the same command.
    Set dataroot_known to the result then, and take the source out.
    """
    # Late, as all of torch and BasicSR comes with it.
    from b2b_basicsr.data.lmdb_clients import close_lmdb_clients
    from b2b_basicsr.prepare.known_set import write_known_set
    from b2b_basicsr.prepare.known_source import known_source

    if more and not force_yml:
        raise UserError(
            f'{more[0]}: unexpected; entries to change go behind --force_yml (see b2b prepare known --help)'
        )
    opt = read_option_file(option_file)
    for entry in (*force_yml, *more):
        force_option(opt, entry, option_file)
    place = _device(device, opt.get('num_gpu', 'auto'))
    source = known_source(opt, place)
    is_database = source.settings.io_backend.type == 'lmdb'
    out = out or source.sharp.root.absolute().with_name('known.lmdb' if is_database else 'known')
    if is_database != (out.suffix == '.lmdb'):
        raise UserError(
            f'-o {out}: with io_backend: {{type: {source.settings.io_backend.type}}} the name of K '
            f'{"ends" if is_database else "does not end"} in .lmdb, as every set of a file has one backend'
        )
    click.echo(f'K from {len(source.places)} pictures of {source.sharp.root}, by {source.kind}, on {place}')
    seed = int(opt.get('manual_seed') or 0) if seed is None else seed
    try:
        count = write_known_set(source, out, seed, copies)
    except KeyboardInterrupt as stop:
        raise click.Abort('stopped; the same command goes on') from stop
    finally:
        close_lmdb_clients()
    click.echo(f'{out}: {count} pictures. In the option file: dataroot_known: {out}, and no other source of K.')


def _device(wanted: str, num_gpu: object) -> torch.device:
    import torch

    if wanted == 'cuda' and not torch.cuda.is_available():
        raise UserError('--device cuda: there is no GPU that torch can use; --device cpu')
    if wanted == 'auto':
        wanted = 'cuda' if torch.cuda.is_available() and num_gpu != 0 else 'cpu'
    if wanted == 'cuda':
        # The same seed must give the same bytes.
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    return torch.device(wanted)
