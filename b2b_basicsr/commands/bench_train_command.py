"""``b2b bench train``: what a training step costs."""

from __future__ import annotations

import click


@click.command(name='train')
@click.option(
    '--forms',
    help='Names with commas between: plain (the same networks, fp32, contiguous, a pass for each set of pictures), '
    'tf32 (plain, with TF32; CUDA alone), fp32, bf16, fp16 (ours); fp32-compile and so on, fp32-accum (two halves).  '
    '[default: plain,fp32,bf16, with CUDA also tf32, fp16, fp32-compile and bf16-compile]',
)
@click.option('--batch', type=click.IntRange(min=1), default=1, show_default=True, help='Pictures a step.')
@click.option('--crop', type=click.IntRange(min=64), default=256, show_default=True, help='Their side in pixels.')
@click.option('--rounds', type=click.IntRange(min=1), default=5, show_default=True, help='Steps of each form.')
@click.option('--device', type=click.Choice(['cpu', 'cuda']), help='[default: cuda where there is one, else cpu]')
@click.option('--tiny', is_flag=True, help='Narrow networks, to try the command out.')
@click.option('--json', 'as_json', is_flag=True, help='Print everything again as JSON, on the last line.')
def train(forms: str | None, batch: int, crop: int, rounds: int, device: str | None, tiny: bool, as_json: bool) -> None:
    """Measure a training step of Blur2Blur, with the networks of options/b2b_rb2v.yml and random weights.

    Every form is a process of its own, and each takes one step a round, in turn. "x plain" is the median over the
    rounds; spread is the interquartile range. Peak memory is the whole process's, on CUDA what torch has allocated.
    """
    from b2b_basicsr.bench.machine import existing_device
    from b2b_basicsr.bench.timing_table import print_tables
    from b2b_basicsr.bench.train_bench import DEFAULT_FORMS, TrainBench

    where = existing_device(device)
    chosen = DEFAULT_FORMS[where] if forms is None else tuple(forms.split(','))
    bench = TrainBench(forms=chosen, batch=batch, crop=crop, device=where, tiny=tiny)
    print_tables('b2b bench train', bench.measure(rounds), as_json)
