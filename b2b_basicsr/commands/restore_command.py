"""``b2b restore``: pictures and videos through a translator and a deblurrer."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click

from b2b_basicsr.commands.stop_signals import end_as_by_ctrl_c
from b2b_basicsr.errors import UserError

_PATH = click.Path(path_type=Path)


class _Tile(click.ParamType):
    name = 'N|auto|none'

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        if value in ('auto', None) or isinstance(value, int):
            return value
        if value == 'none':
            return 0
        if not value.isdecimal() or not int(value):
            self.fail(f'{value!r}: give a number of pixels, auto, or none (the whole picture at once)', param, context)
        return int(value)


class _TileBatch(click.ParamType):
    name = 'N|auto'

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        if value == 'auto' or isinstance(value, int):
            return value
        if not value.isdecimal() or not int(value):
            self.fail(f'{value!r}: give a number of tiles, or auto', param, context)
        return int(value)


@click.command(name='restore')
@click.argument('inputs', nargs=-1, required=True, metavar='IN...')
@click.option('-o', '--out', type=_PATH, required=True, help='Folder for the results; is made.')
@click.option('--translator', type=_PATH, help='Checkpoint of the translator G. Without a deblurrer: translate only.')
@click.option('--deblurrer', type=_PATH, help='Checkpoint of the deblurrer.')
@click.option('--translator-opt', type=_PATH, help='Option file whose network_g describes the translator.')
@click.option(
    '--deblurrer-opt',
    type=_PATH,
    help='Option file whose network_deblur, else network_g, describes the deblurrer.',
)
@click.option('--direct', is_flag=True, help='Deblur without translation; needs no translator.')
@click.option('--translated', is_flag=True, help='Write NAME_translated.EXT as well.')
@click.option(
    '--compare',
    'compared',
    is_flag=True,
    help='Write NAME_compare.png (of videos: .EXT) as well: input, direct, restored side by side. Takes a second '
    'pass of the deblurrer.',
)
@click.option('--skip-existing', is_flag=True, help='Leave files alone whose results are there.')
@click.option(
    '--tile',
    type=_Tile(),
    default='auto',
    show_default=True,
    help='Side of a tile in pixels; auto: by the memory there is; none: the whole picture at once.',
)
@click.option('--overlap', type=click.IntRange(min=0), help='Pixels that neighbouring tiles share.  [default: 64]')
@click.option(
    '--tile-batch',
    type=_TileBatch(),
    default='auto',
    show_default=True,
    help='Tiles, or whole frames of a video, at once; auto: by the memory there is on a GPU, 1 on the CPU.',
)
@click.option(
    '--precision',
    type=click.Choice(['fp32', 'bf16', 'fp16']),
    default='fp32',
    show_default=True,
    help='What the networks multiply in; 16 bits are faster where the hardware has them, and a few levels off.',
)
@click.option(
    '--compile',
    'compiled',
    is_flag=True,
    help='torch.compile: a minute or more for each size, then faster. For videos and many pictures in tiles.',
)
@click.option('--device', help='cpu, cuda, cuda:1, ...  [default: cuda where there is one, else cpu]')
@click.option(
    '--quality',
    type=click.IntRange(1, 100),
    default=95,
    show_default=True,
    help='Of JPEG and lossy WebP, in percent.',
)
@click.pass_context
def restore(
    context: click.Context,
    inputs: tuple[str, ...],
    out: Path,
    translator: Path | None,
    deblurrer: Path | None,
    translator_opt: Path | None,
    deblurrer_opt: Path | None,
    direct: bool,
    translated: bool,
    compared: bool,
    skip_existing: bool,
    tile: int | Literal['auto'],
    overlap: int | None,
    tile_batch: int | Literal['auto'],
    precision: Literal['fp32', 'bf16', 'fp16'],
    compiled: bool,
    device: str | None,
    quality: int,
) -> None:
    """Restore pictures and videos: translate the blur, then deblur.

    IN are files, folders (of any depth) and globs. Results have the same names, in OUT; those that are there are
    replaced, unless --skip-existing is given. Exit status 1: some files failed, the others are done. torchrun shares
    the files: torchrun --nproc_per_node 2 -m b2b_basicsr restore IN... (all options alike).
    """
    end_as_by_ctrl_c(context)
    _refuse_contradictions(translator, deblurrer, direct, translated)
    _refuse_missing(inputs)

    from tqdm import tqdm

    from b2b_basicsr.prepare.write_errors import cannot_write
    from b2b_basicsr.printable import printable
    from b2b_basicsr.restore.ffmpeg_call import ffmpeg_is_there
    from b2b_basicsr.restore.in_background import some_still_at_work
    from b2b_basicsr.restore.inputs import find_jobs, said_of_others
    from b2b_basicsr.restore.pipeline import Blur2BlurPipeline
    from b2b_basicsr.restore.restore_files import Outcome, RestoreSettings, restore_files
    from b2b_basicsr.restore.sharing import Meeting, Share
    from b2b_basicsr.whole_file import clear_leftovers

    def say(line: str) -> None:
        tqdm.write(f'{process}{line}', file=sys.stderr)

    share = Share.from_environment()
    process = f'process {share.rank + 1} of {share.processes}: ' if share.processes > 1 else ''
    first = share.rank == 0
    found = find_jobs(inputs, out, translated, compared)
    settings = RestoreSettings(
        direct=direct,
        translated=translated,
        compared=compared,
        translate_only=deblurrer is None,
        with_direct=compared and not direct and deblurrer is not None,
        skip_existing=skip_existing,
        quality=quality,
    )
    pipeline = Blur2BlurPipeline.from_files(
        translator=None if direct else translator,
        deblurrer=deblurrer,
        translator_opt=None if direct else translator_opt,
        deblurrer_opt=deblurrer_opt,
        device=device or _own_gpu(),
        tile=tile or None,
        tile_batch=tile_batch,
        precision=precision,
        compile=compiled,
        **({} if overlap is None else {'overlap': overlap}),
    )
    meeting = Meeting.join(share)

    mine = share.of(found.jobs)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise cannot_write(out, cause) from cause
    for folder in {job.result.parent for job in mine}:
        clear_leftovers(folder)
    if first and found.others:
        say(printable(said_of_others(found.others)))
    if process:
        say(f'{len(mine)} of {len(found.jobs)} files')
    if any(job.is_video for job in mine) and not ffmpeg_is_there():
        say('ffmpeg and ffprobe are not there: OpenCV writes the videos, without sound')
    try:
        outcome = restore_files(mine, pipeline, settings, say, show_bar=os.environ.get('LOCAL_RANK', '0') == '0')
    except KeyboardInterrupt:
        if some_still_at_work():  # in a library, which must not be taken down around it
            click.echo('stopped', err=True)
            sys.stdout.flush()
            os._exit(130)
        raise

    everything = Outcome()
    for restored, skipped, failed in meeting.exchange((outcome.restored, outcome.skipped, outcome.failed)):
        everything.add(Outcome(restored, skipped, [(name, why) for name, why in failed]))
    if first or not meeting.is_shared:
        click.echo(f'{"" if meeting.is_shared else process}{everything}')
    if everything.failed:
        meeting.end(1)


def _refuse_contradictions(translator: Path | None, deblurrer: Path | None, direct: bool, translated: bool) -> None:
    if direct and deblurrer is None:
        raise UserError('--direct deblurs without translation: give --deblurrer')
    if direct and translated:
        raise UserError('--translated: with --direct nothing is translated; leave one of the two out')
    if translator is None and not direct:
        raise UserError(
            '--translator is missing; give the checkpoint of G, or, if you mean to deblur without translation, --direct'
        )
    if translated and deblurrer is None:
        raise UserError(
            '--translated: without --deblurrer the result is the translated picture; leave --translated out'
        )


def _refuse_missing(inputs: Sequence[str]) -> None:
    """The commonest mistake, before the seconds that it takes to import torch."""
    for given in inputs:
        if not Path(given).expanduser().exists() and not glob.has_magic(given):
            raise UserError(f'{given}: no such file or folder (looked in {Path.cwd()})')


def _own_gpu() -> str | None:
    """Of several processes on a machine each takes a GPU of its own, while there are enough."""
    local_rank = os.environ.get('LOCAL_RANK', '')
    if not local_rank.isdecimal():
        return None
    import torch

    return f'cuda:{int(local_rank) % torch.cuda.device_count()}' if torch.cuda.is_available() else None
