"""``b2b bench restore``: what restoring costs."""

from __future__ import annotations

import click

from b2b_basicsr.errors import UserError


@click.command(name='restore')
@click.option(
    '--parts',
    help='Names with commas between: pictures (in memory), files (JPEG to JPEG), video (720p, file to file).  '
    '[default: pictures, with CUDA also video]',
)
@click.option(
    '--forms',
    help='Names with commas between: plain (fp32, one tile, frame and file after the other), tf32 (plain, with TF32; '
    "CUDA alone), fp32, fp32-tf32 (torch's default on CUDA), bf16, fp16 (ours), fp32-compile and so on.  "
    '[default: plain,fp32,bf16, with CUDA also tf32 and fp16]',
)
@click.option('--sizes', help='Of the pictures, megapixels.  [default: 0.9, with CUDA 0.9,8,48]')
@click.option('--widths', default='32', show_default=True, help='Of NAFNet; 32,64 for both published ones.')
@click.option('--frames', type=click.IntRange(min=2), help='Of the video.  [default: 4, with CUDA 48]')
@click.option('--rounds', type=click.IntRange(min=1), default=3, show_default=True, help='Of each form.')
@click.option('--device', type=click.Choice(['cpu', 'cuda']), help='[default: cuda where there is one, else cpu]')
@click.option('--tiny', is_flag=True, help='Narrow networks and a small video, to try the command out.')
@click.option('--json', 'as_json', is_flag=True, help='Print all tables so far again as JSON, in a line after each.')
def restore(
    parts: str | None,
    forms: str | None,
    sizes: str | None,
    widths: str,
    frames: int | None,
    rounds: int,
    device: str | None,
    tiny: bool,
    as_json: bool,
) -> None:
    """Measure restoring by MIMO-UNet and NAFNet of the published sizes, with random weights.

    Every form is a process of its own, and each takes one turn a round. "x plain" is the median over the rounds; spread
    is the interquartile range. Peak memory is the whole process's, on CUDA what torch has allocated. Without a GPU 48
    megapixels take an hour a turn: ask for them by --sizes.
    """
    asked_sizes, asked_widths = _numbers('--sizes', sizes), _numbers('--widths', widths)
    if not all(width == int(width) and width >= 1 for width in asked_widths):
        raise UserError(f'--widths: {widths!r}; give whole numbers, as 32,64')
    from b2b_basicsr.bench.machine import existing_device
    from b2b_basicsr.bench.restore_bench import DEFAULTS, RestoreBench
    from b2b_basicsr.bench.timing_table import print_tables

    where = existing_device(device)
    default = DEFAULTS[where]
    bench = RestoreBench(
        forms=tuple(forms.split(',')) if forms else default.forms,
        sizes=asked_sizes or default.sizes,
        widths=tuple(int(width) for width in asked_widths),
        parts=tuple(parts.split(',')) if parts else default.parts,
        frames=frames or default.frames,
        device=where,
        tiny=tiny,
    )
    print_tables('b2b bench restore', bench.measure(rounds, lambda line: click.echo(line, err=True)), as_json)


def _numbers(option: str, given: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in (given or '').split(',') if given)
    except ValueError:
        raise UserError(f'{option}: {given!r}; give numbers with commas between, as 0.9,8') from None
