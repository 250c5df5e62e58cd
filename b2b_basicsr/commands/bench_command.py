"""``b2b bench``: what things cost on this machine, and what Blur2Blur gains."""

from __future__ import annotations

import click

from b2b_basicsr.commands.bench_data_command import data
from b2b_basicsr.commands.bench_gain_command import gain
from b2b_basicsr.commands.bench_restore_command import restore
from b2b_basicsr.commands.bench_train_command import train


@click.group(name='bench')
def bench() -> None:
    """Measure a training step, the data loader, or restoring: forms side by side, in turn; and Blur2Blur's gain.

    The first three print tables with ratios, medians and spreads, all of one run on this machine. With --json all of it
    is printed again as the last line.
    """


for _command in (train, data, restore, gain):
    bench.add_command(_command)
