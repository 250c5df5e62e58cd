"""Resuming a training: on a CPU, with ``weights_only=True``, and from the newest state that is whole.

BasicSR's ``load_resume_state`` asks for the current CUDA device, GPU or not; it leaves it to torch whether a state may
hold more than tensors; and for ``--auto_resume`` it looks in the working folder's ``experiments``, while the states
are under the root of BasicSR's checkout, takes any file there for a number, and the last one, whole or torn.
"""

from __future__ import annotations

import pickle
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from b2b_basicsr.compat.frozen_networks import frozen_networks_of, ignored_networks
from b2b_basicsr.compat.mend import Mend, basicsr_has_faults
from b2b_basicsr.compat.training_script import wrap_script_function
from b2b_basicsr.errors import UserError, exit_with
from b2b_basicsr.options.drawn_seed import DrawnSeed
from b2b_basicsr.options.notes import note
from b2b_basicsr.processes import failing_together, gathered, this_process
from b2b_basicsr.whole_file import clear_leftovers

STATE_KEYS = frozenset({'epoch', 'iter', 'optimizers', 'schedulers'})

SAFE_GLOBALS: tuple[type, ...] = (Counter,)
"""All that BasicSR's states hold beside tensors and plain values: ``MultiStepRestartLR`` counts its milestones."""


_ITERATION = re.compile(r'0|[1-9][0-9]*')


def iteration_states(folder: str | Path) -> tuple[dict[int, Path], list[Path]]:
    """The files ``ITERATION.state`` of a folder by iteration, and those ``*.state`` that are named otherwise."""
    states: dict[int, Path] = {}
    others = []
    for path in sorted(Path(folder).glob('*.state')):
        if path.name.startswith('.') or not path.is_file():
            continue
        if _ITERATION.fullmatch(path.stem):
            states[int(path.stem)] = path
        else:
            others.append(path)
    return states, others


def newest_whole_state(
    opt: Mapping[str, Any], say: Callable[[str], object] = lambda _: None
) -> tuple[Path, dict[str, Any]] | None:
    """The last state from which the training of an option file can go on: whole, with all of its networks whole.

    Args:
        opt: parsed options.
        say: told in one line of every file that is passed over.

    Returns:
        The file and what it holds; ``None`` if there is none named by an iteration.

    Raises:
        UserError: There are such states, and not one of them is whole.
    """
    folder = Path(opt['path']['training_states'])
    states, others = iteration_states(folder)
    if others:
        names = ', '.join(path.name for path in others)
        say(f'{folder}: {names}: not named by an iteration, and so not looked at.')
    for iteration in sorted(states, reverse=True):
        try:
            state = _read(str(states[iteration]))
            if state['iter'] != iteration:
                raise _NotWholeError(f'is the state of iteration {state["iter"]} under another name')
            _check_networks(opt, iteration)
        except _NotWholeError as found:
            say(f'{states[iteration]}: passed over, since it {found}.')
        else:
            return states[iteration], state
    if states:
        raise UserError(
            f'{folder}: holds {len(states)} states, and none from which this training could go on, as said above: name '
            'a whole one in path: resume_state, without --auto_resume, or move the experiment away to begin anew'
        )
    return None


class _NotWholeError(Exception):
    """What is wrong with a state, as the end of a sentence that it begins, and how that is mended."""

    def __init__(self, reason: str, how: str = '') -> None:
        super().__init__(reason)
        self.how = how


def _check_networks(opt: Mapping[str, Any], iteration: int) -> None:
    """Demands what a state's iteration saved of the trained networks.

    Of a model that does not say which of its networks are frozen, one that is missing may never have been saved.
    """
    from b2b_basicsr.models.checkpoint import read_state_dict, refuse_damaged

    frozen = frozen_networks_of(opt.get('model_type'))
    for network in opt:
        if not network.startswith('network_') or network in {*(frozen or ()), *ignored_networks(opt)}:
            continue
        file = Path(opt['path']['models'], f'net_{network.removeprefix("network_")}_{iteration}.pth')
        if not file.is_file():
            if frozen is None:
                continue
            raise _NotWholeError(f'has no {network} beside it ({file})')
        try:
            refuse_damaged(file)
            read_state_dict(network, str(file), 'params')
        except (OSError, ValueError) as error:  # a UserError is one
            raise _NotWholeError(f'has a {network} that is none, or damaged ({file})') from error


def read_state(path: str) -> dict[str, Any]:
    """Load a training state of BasicSR's onto the CPU; optimizers move their own to where their parameters are.

    Raises:
        UserError: There is no such file, or it is not a state of BasicSR's, or it holds other classes than a state
            needs.
    """
    try:
        return _read(path)
    except _NotWholeError as found:
        raise UserError(f'{path}: {found}: {found.how}') from found


def _read(path: str) -> dict[str, Any]:
    from b2b_basicsr.models.checkpoint import refuse_damaged, refuse_packed

    no_state = _NotWholeError(
        'is not a training state of BasicSR, or a damaged one',
        'give path: resume_state another, or have --auto_resume find the newest whole one instead',
    )
    try:
        refuse_packed(path)
        state = _load(path)
        refuse_damaged(path)
    except OSError as error:
        raise _NotWholeError(f'cannot be read ({error.strerror or error})', 'check path: resume_state') from error
    except pickle.UnpicklingError as error:
        found = re.search(r'GLOBAL ([\w.]+)', str(error))
        if found is None:
            raise no_state from error
        raise _NotWholeError(
            f'holds an object of {found.group(1)}, which could run code when it is loaded',
            'if you trust the file, allow the class by torch.serialization.add_safe_globals in your own code, else '
            'resume from another',
        ) from error
    except Exception as error:  # a damaged file makes torch raise many things
        raise no_state from error
    if not isinstance(state, dict) or not state.keys() >= STATE_KEYS:
        raise no_state
    parts = [state['optimizers'], state['schedulers']]
    if not (type(state['iter']) is type(state['epoch']) is int and all(isinstance(part, list) for part in parts)):
        raise no_state
    if not all(isinstance(entry, dict) for part in parts for entry in part):
        raise no_state
    return state


def _load(path: str) -> Any:
    import torch

    if not hasattr(torch.serialization, 'safe_globals'):  # torch 2.4 allows a class for good
        torch.serialization.add_safe_globals([*SAFE_GLOBALS])
        return torch.load(path, map_location='cpu', weights_only=True)
    with torch.serialization.safe_globals([*SAFE_GLOBALS]):
        return torch.load(path, map_location='cpu', weights_only=True)


def _instead_of(load_resume_state: Callable[..., Any]) -> Callable[..., Any]:
    """Stand in for BasicSR's function; one that a working copy has already put right stays."""
    if 'current_device' not in load_resume_state.__code__.co_names:
        return load_resume_state

    def load(opt: dict[str, Any]) -> dict[str, Any] | None:
        from basicsr.utils.misc import check_resume

        path_opt = opt['path']
        if opt['auto_resume']:
            found = newest_whole_state(opt, _say)
            if found is None:
                return None
            path_opt['resume_state'], state = str(found[0]), found[1]
        elif path_opt.get('resume_state'):
            state = read_state(path_opt['resume_state'])
        else:
            return None
        check_resume(opt, state['iter'])
        _clear_up(path_opt)
        _take_seed(opt, state)
        return state

    def load_together(opt: dict[str, Any]) -> dict[str, Any] | None:
        state = None
        try:
            with failing_together():
                state = load(opt)
            _check_agreement(gathered(None if state is None else state['iter']))
            if state is not None and not opt['auto_resume']:
                _put_newer_aside(opt['path'], state['iter'])
        except UserError as error:
            exit_with(error)
        return state

    return load_together


def _take_seed(opt: dict[str, Any], state: Mapping[str, Any]) -> None:
    """Where the option file has no ``manual_seed``, that of the state, by which the training has drawn so far."""
    from basicsr.utils import set_random_seed

    if isinstance(opt.get('manual_seed'), DrawnSeed) and 'manual_seed' in state:
        opt['manual_seed'] = DrawnSeed(state['manual_seed'])
        set_random_seed(opt['manual_seed'] + this_process()[0])


def _put_newer_aside(path_opt: Mapping[str, Any], iteration: int) -> None:
    """Newer states than the one that is named are of what was given up: ``--auto_resume`` must not find them again.

    Where the named one is of this training's own folder. They are renamed, not removed.
    """
    folder = Path(path_opt['training_states'])
    if this_process()[0] != 0 or Path(path_opt['resume_state']).parent.resolve() != folder.resolve():
        return
    newer = {at: path for at, path in iteration_states(folder)[0].items() if at > iteration}
    for path in newer.values():
        path.replace(path.with_name(f'{path.name}.given_up'))
    if newer:
        names = ', '.join(f'{at}.state' for at in sorted(newer))
        _say(f'{folder}: {names}: renamed to *.state.given_up, since the training goes on from iteration {iteration}.')


def _say(line: str) -> None:
    """On the first process, at once; and when the log is there, in it."""
    if this_process()[0] == 0:
        print(line, flush=True)
        note(line)


def _clear_up(path_opt: Mapping[str, Any]) -> None:
    """What a killed training was about to write goes."""
    if this_process()[0] == 0:
        for key in ('models', 'training_states', 'visualization'):
            if path_opt.get(key):
                clear_leftovers(Path(path_opt[key]), and_below=True)


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
