"""``b2b bench``: what things cost on this machine."""

from __future__ import annotations

import click


@click.group(name='bench')
def bench() -> None:
    """Measure a training step, the data loader, or restoring: forms side by side, in turn.

    Each prints tables with ratios, medians and spreads, all of one run on this machine, and with --json all of it again
    as the last line.
    """
