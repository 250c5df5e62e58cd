"""Resuming a training: on a CPU, with ``weights_only=True``, and from the folder where the states are written.

BasicSR's ``load_resume_state`` asks for the current CUDA device, GPU or not; it leaves it to torch whether a state may
hold more than tensors; and for ``--auto_resume`` it looks in the working folder's ``experiments``, while the states
are under the root of BasicSR's checkout.
"""

from __future__ import annotations

import pickle
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from b2b_basicsr.compat.mend import Mend, basicsr_has_faults
from b2b_basicsr.compat.training_script import wrap_script_function
from b2b_basicsr.errors import UserError, exit_with
from b2b_basicsr.processes import failing_together, gathered

STATE_KEYS = frozenset({'epoch', 'iter', 'optimizers', 'schedulers'})

SAFE_GLOBALS: tuple[type, ...] = (Counter,)
"""All that BasicSR's states hold beside tensors and plain values: ``MultiStepRestartLR`` counts its milestones."""


def latest_state(folder: str) -> str | None:
    """Return the path of ``ITERATION.state`` with the highest iteration in ``folder``; ``None`` if there is none."""
    states = [path for path in Path(folder).glob('*.state') if path.stem.isdecimal() and path.is_file()]
    return str(max(states, key=lambda path: int(path.stem))) if states else None


def read_state(path: str) -> dict[str, Any]:
    """Load a training state of BasicSR's onto the CPU; optimizers move their own to where their parameters are.

    Raises:
        UserError: There is no such file, or it is not a state of BasicSR's, or it holds other classes than a state
            needs.
    """
    try:
        state = _load(path)
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror or error}): check path: resume_state') from error
    except pickle.UnpicklingError as error:
        found = re.search(r'GLOBAL ([\w.]+)', str(error))
        if found is None:
            raise UserError(_not_a_state(path)) from error
        raise UserError(
            f'{path}: holds an object of {found.group(1)}, which could run code when it is loaded; if you trust the '
            f'file, allow the class by torch.serialization.add_safe_globals in your own code, else resume from another'
        ) from error
    except Exception as error:  # a damaged file makes torch raise many things
        raise UserError(_not_a_state(path)) from error
    if not isinstance(state, dict) or not state.keys() >= STATE_KEYS:
        raise UserError(_not_a_state(path))
    return state


def _load(path: str) -> Any:
    import torch

    if not hasattr(torch.serialization, 'safe_globals'):  # torch < 2.5: no way to allow a class, nor the need for one
        return torch.load(path, map_location='cpu')
    with torch.serialization.safe_globals([*SAFE_GLOBALS]):
        return torch.load(path, map_location='cpu', weights_only=True)


def _not_a_state(path: str) -> str:
    return (
        f'{path}: not a training state of BasicSR, or a damaged one: give path: resume_state another '
        '(with --auto_resume, move the file away and the one before it is taken)'
    )


def _instead_of(load_resume_state: Callable[..., Any]) -> Callable[..., Any]:
    """Stand in for BasicSR's function; one that a working copy has already put right stays."""
    if 'current_device' not in load_resume_state.__code__.co_names:
        return load_resume_state

    def load(opt: dict[str, Any]) -> dict[str, Any] | None:
        from basicsr.utils.misc import check_resume

        path_opt = opt['path']
        path = latest_state(path_opt['training_states']) if opt['auto_resume'] else path_opt.get('resume_state')
        if not path:
            return None
        path_opt['resume_state'] = path
        state = read_state(path)
        check_resume(opt, state['iter'])
        return state

    def load_together(opt: dict[str, Any]) -> dict[str, Any] | None:
        state = None
        try:
            with failing_together():
                state = load(opt)
            _check_agreement(gathered(None if state is None else state['iter']))
        except UserError as error:
            exit_with(error)
        return state

    return load_together


def _check_agreement(iterations: list[int | None]) -> None:
    """Raises on every process if some resume, and others do not, or from elsewhere."""
    with failing_together():
        if len(set(iterations)) > 1:
            raise UserError(
                'the processes would resume from different iterations: let all machines see the same experiments folder'
            )


def _apply() -> None:
    wrap_script_function('load_resume_state', _instead_of)


MEND = Mend(name='resume_state', affects='basicsr <= 1.4.2', needed=basicsr_has_faults, apply=_apply)
