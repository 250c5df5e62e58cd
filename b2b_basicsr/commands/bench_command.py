"""``b2b bench``: what things cost on this machine."""

from __future__ import annotations

import click

from b2b_basicsr.commands.bench_data_command import data
from b2b_basicsr.commands.bench_restore_command import restore
from b2b_basicsr.commands.bench_train_command import train


@click.group(name='bench')
def bench() -> None:
    """Measure a training step, the data loader, or restoring: forms side by side, in turn.

    Each prints tables with ratios, medians and spreads, all of one run on this machine, and with --json all of it again
    as the last line.
    """


for _command in (train, data, restore):
    bench.add_command(_command)
