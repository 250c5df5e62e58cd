"""Checkpoints that a training has no more use for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from basicsr.utils import get_root_logger


def remove_older(opt: Mapping[str, Any], saved: Sequence[int], keep: int, networks: Sequence[str]) -> list[int]:
    """Removes states and networks of all iterations but the newest: ``ITERATION.state``, then ``net_*_ITERATION.pth``.

    What the option file names in ``path`` stays: the state to resume from and its networks, weights to begin with. With
    ``--auto_resume`` that is the best state found and not the user's choice, so it goes when its turn comes. Names with
    ``best`` or ``latest`` are never touched. What cannot be removed is one warning.

    Args:
        opt: parsed options.
        saved: the iterations that this experiment saved, in the order in which it did.
        keep: how many of them stay, at least 1.
        networks: the names before the iteration, as ``net_g``.

    Returns:
        Those of ``saved`` that are still there.
    """
    named = _named_files(opt)
    left = list(saved)
    for iteration in saved[:-keep]:
        files = [
            Path(opt['path']['training_states'], f'{iteration}.state'),
            *(Path(opt['path']['models'], f'{network}_{iteration}.pth') for network in networks),
        ]
        if named.intersection(file.resolve() for file in files):
            continue
        try:
            for file in files:
                file.unlink(missing_ok=True)
        except OSError as cause:
            get_root_logger().warning(f'logger: keep_checkpoints: {file} cannot be removed ({cause.strerror}).')
        else:
            left.remove(iteration)
    return left


def _named_files(opt: Mapping[str, Any]) -> set[Path]:
    path_opt = opt['path']
    state = path_opt.get('resume_state')
    named = {key: value for key, value in path_opt.items() if key.startswith('pretrain_network') and value}
    if state and not opt.get('auto_resume'):
        named['resume_state'] = state
    elif state:
        found = Path(state).stem
        named = {key: value for key, value in named.items() if not Path(value).stem.endswith(f'_{found}')}
    return {Path(value).resolve() for value in named.values()}
