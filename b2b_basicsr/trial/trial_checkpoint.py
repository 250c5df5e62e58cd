"""A checkpoint and a state, written once: how large they are, and whether the disk holds all of them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from b2b_basicsr.errors import UserError


@dataclass(frozen=True)
class TriedCheckpoint:
    """What was written, and what the whole training will write.

    Args:
        seconds: it took.
        network_bytes: of the networks' files.
        state_bytes: of the state.
        best_bytes: of ``net_g_best.pth``; 0 where none is chosen.
        times: how often it is written.
        kept: how many stay.
    """

    seconds: float
    network_bytes: int
    state_bytes: int
    best_bytes: int
    times: int
    kept: int

    @property
    def all_bytes(self) -> int:
        """Of what lies there at the end, the networks of the last iteration and the best ones with it."""
        return self.kept * (self.network_bytes + self.state_bytes) + self.network_bytes + self.best_bytes


def try_checkpoint(model: Any, opt: Mapping[str, Any], iteration: int, times: int) -> TriedCheckpoint | str:
    """Saves a model, in a folder that is not kept.

    Args:
        model: one of ours, that has done a step.
        opt: its options.
        iteration: that it has done.
        times: how often the training will save.

    Returns:
        What was found; or, if the temporary folder has no room for it, what was said.
    """
    folders = [Path(opt['path'][name]) for name in ('models', 'training_states')]
    before = {file for folder in folders for file in folder.rglob('*')}
    start = time.perf_counter()
    try:
        model.save(0, iteration)
    except (OSError, UserError) as cause:
        return f'no checkpoint could be tried in the temporary folder: {cause}; set TMPDIR to a larger one'
    seconds = time.perf_counter() - start
    networks, states = (
        {file.name: file.stat().st_size for file in folder.rglob('*') if file.is_file() and file not in before}
        for folder in folders
    )
    keep = opt['logger'].get('keep_checkpoints')
    best = (opt.get('val') or {}).get('best') is not None
    return TriedCheckpoint(
        seconds,
        sum(networks.values()),
        sum(states.values()),
        next((size for name, size in networks.items() if name.startswith('net_g_')), 0) if best else 0,
        times,
        times if keep is None else min(times, int(keep)),
    )


def free_bytes(folder: Path) -> int:
    """On the disk that a folder lies on, or will lie on."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(there).free
