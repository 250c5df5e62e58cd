"""A user's mistakes in an option file end in one line, before anything is created or archived.

BasicSR archives an older experiment of the same name before it builds anything, so the checks run where the options
are parsed. Files that name none of our model and data set types are left to BasicSR, unless they cannot be read at all.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from b2b_basicsr.compat.launchers import Wish, meet, refuse_shared_gpus, take_device
from b2b_basicsr.compat.mend import Mend
from b2b_basicsr.compat.our_option_files import is_our_model, is_our_option_file, may_be_our_option_file
from b2b_basicsr.compat.training_script import wrap_parse_options
from b2b_basicsr.errors import OptionError, ToldElsewhereError, UserError, exit_with
from b2b_basicsr.options.drawn_seed import DrawnSeed
from b2b_basicsr.options.option_file import force_option, read_option_file, unshared
from b2b_basicsr.options.option_lines import OptionLines, option_errors_placed, use_for_late_errors
from b2b_basicsr.options.section import shown
from b2b_basicsr.processes import HEAD_START, failing_together, gathered, this_process

OptionCheck = Callable[[dict[str, Any], argparse.Namespace], None]

SectionCheck = Callable[[dict[str, Any], bool], None]

OPTION_CHECKS: list[OptionCheck] = []
SECTION_CHECKS: list[SectionCheck] = []


def register_option_check(check: OptionCheck) -> OptionCheck:
    """Have ``check(opt, args)`` called with every parsed option file of ours; may be used as a decorator.

    ``opt`` is what BasicSR's ``parse_options`` returns (``opt['is_train']`` tells training from test), ``args`` its
    command line. A check raises :class:`~b2b_basicsr.errors.UserError` for what the user has to mend.
    """
    if check not in OPTION_CHECKS:
        OPTION_CHECKS.append(check)
    return check


def register_section_check(check: SectionCheck) -> SectionCheck:
    """Have ``check(opt, is_train)`` called with every option file of ours before BasicSR's parser reads it.

    ``opt`` is what the file and ``--force_yml`` say, without BasicSR's additions. A check raises
    :class:`~b2b_basicsr.errors.OptionError` for what the user has to mend.
    """
    if check not in SECTION_CHECKS:
        SECTION_CHECKS.append(check)
    return check


@contextmanager
def standing_in(check: OptionCheck, stand_in: OptionCheck) -> Iterator[None]:
    """Within the block ``stand_in`` is called in the place of a registered ``check``."""
    place = OPTION_CHECKS.index(check)
    OPTION_CHECKS[place] = stand_in
    try:
        yield
    finally:
        OPTION_CHECKS[place] = check


def _checking(parse_options: Callable[..., Any]) -> Callable[..., Any]:
    def parse(root_path: str, is_train: bool = True) -> Any:
        drawn = False
        try:
            args = _command_line()
            if args is not None:
                drawn = _start_and_check(args, is_train).get('manual_seed') is None
        except UserError as error:
            exit_with(error)
        opt, args = parse_options(root_path, is_train=is_train)
        if is_our_option_file(opt):
            opt = unshared(opt)
            seed = gathered(opt['manual_seed'])[0]  # where the file has none, each process drew its own
            opt['manual_seed'] = DrawnSeed(seed) if drawn else seed
            try:
                with failing_together(), option_errors_placed(args.opt, args.force_yml or ()):
                    for check in OPTION_CHECKS:
                        check(opt, args)
            except UserError as error:
                exit_with(error)
            use_for_late_errors(args.opt, args.force_yml or ())
        return opt, args

    return parse


class _QuietParser(argparse.ArgumentParser):
    """Leaves a wrong command line to BasicSR's own parser."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def _command_line() -> argparse.Namespace | None:
    """Return the part of the command line that names the options; ``None`` if BasicSR's parser is about to complain."""
    parser = _QuietParser(add_help=False)
    parser.add_argument('-opt', type=str, required=True)
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm'), default='none')
    parser.add_argument('--force_yml', nargs='+', default=())
    parser.add_argument('--debug', action='store_true')
    try:
        args, _ = parser.parse_known_args()
    except ValueError:
        return None
    return args


def _start_and_check(args: argparse.Namespace, is_train: bool) -> dict[str, Any]:
    """Has the processes of a launcher meet, and checks what BasicSR's own parser takes for granted.

    Returns:
        The options as the file and ``--force_yml`` have them; none of somebody else's file.

    Raises:
        UserError: The option file cannot be read; or it is one of ours, and cannot be changed as ``--force_yml`` says,
            or lacks what every option file has; or the processes cannot meet.
    """
    if not may_be_our_option_file(args.opt):
        return {}
    opt, mistake = _read(args)
    if mistake is None:
        try:
            with option_errors_placed(args.opt, args.force_yml):
                if not is_our_option_file(opt):
                    _check_model_type(opt)
                    _check_parts(opt, is_train)
                    return opt
                _check_before_parsing(opt, args, is_train)
        except UserError as error:
            mistake = error
    # A file that this process cannot read may be there, and ours, on the machines that it would let wait.
    if args.launcher != 'none' and (not opt or is_our_option_file(opt)):
        _start_together(args.launcher, opt, mistake)
        return opt
    if args.launcher == 'none':
        _refuse_processes_apart()
    if mistake is not None:
        raise mistake
    return opt


def _start_together(launcher: str, opt: dict[str, Any], mistake: UserError | None) -> None:
    """Has the processes meet, and each take its device; ``mistake`` may be one process's alone."""
    from b2b_basicsr.checks.late_errors import end_late_errors_in_one_line  # imports what imports this

    wish: Wish | None = None
    try:
        wish = Wish.of(opt) if mistake is None else None
    except UserError as error:
        mistake = error
    try:
        meet(launcher, opt, wish)
    except UserError as apart:
        if mistake is None:
            raise
        raise mistake from apart
    end_late_errors_in_one_line()  # only now: torch puts a hook of its own over ours when they meet
    with failing_together():
        if mistake is not None:
            raise mistake
    wishes = [each for each in gathered(wish) if each is not None]
    taken = ''
    with failing_together():
        taken = take_device(launcher, opt, wishes, this_process()[0])
    everyones = gathered(taken)
    with failing_together():
        refuse_shared_gpus(everyones)


def _read(args: argparse.Namespace) -> tuple[dict[str, Any], UserError | None]:
    """The options that the command line names, and what is wrong with them."""
    opt: dict[str, Any] = {}
    try:
        opt = read_option_file(args.opt)
        if is_our_option_file(opt):
            for entry in args.force_yml:
                force_option(opt, entry, args.opt)
    except UserError as error:
        return opt, error
    return opt, None


def _refuse_processes_apart() -> None:
    """Several processes that do not know of each other would archive each other's experiment."""
    processes, rank = os.environ.get('WORLD_SIZE', ''), os.environ.get('RANK', '')
    if processes.isdecimal() and int(processes) > 1 and rank.isdecimal():
        mistake = UserError(f'WORLD_SIZE={processes} in the environment: add --launcher pytorch, or start one process')
        if int(rank) == 0:
            raise mistake
        time.sleep(HEAD_START)
        raise ToldElsewhereError(str(mistake))


def _check_before_parsing(opt: dict[str, Any], args: argparse.Namespace, is_train: bool) -> None:
    OptionLines(args.opt).refuse_duplicates()
    for key in ('datasets', 'path', *(('train', 'logger') if is_train else ())):
        if not isinstance(opt.get(key), dict):
            raise OptionError(key, 'must be there, a section of KEY: VALUE lines')
    for phase, section in opt['datasets'].items():
        if not isinstance(section, dict):
            raise OptionError(f'datasets:{phase}', 'must be a section of KEY: VALUE lines')
    if 'num_gpu' not in opt:
        raise OptionError('num_gpu', 'must be there: auto, a number of GPUs, or 0 for the CPU')
    if not isinstance(opt.get('name'), str):
        found = (
            f'{shown(opt["name"])}: must be a text, in the file in quotes' if 'name' in opt else 'must be there, a text'
        )
        raise OptionError('name', f'{found}: experiments/NAME is where the results go')
    if 'val' in opt and opt['val'] is None and ('debug' in opt['name'] or args.debug) and is_train:
        raise OptionError(
            'val', 'a training that is debugged (--debug, or its name) needs the section, or leaves it out'
        )
    seed = opt.get('manual_seed')
    ours = is_our_model(opt)  # whose types say more
    if seed is not None and not ours and not (type(seed) is int and 0 <= seed < 2**32 - 4096):
        raise OptionError('manual_seed', f'{shown(seed)}: must be a whole number from 0 up, or ~')
    _check_parts(opt, is_train)


def refuse_unknown_model_type() -> None:
    """Ends in one line if the command line's option file, anybody's, names a model that nobody has registered.

    BasicSR archives an older experiment before it looks for the model.

    Raises:
        UserError: naming the nearest model.
    """
    args = _command_line()
    if args is None:
        return
    try:
        opt = read_option_file(args.opt)
        for entry in args.force_yml:
            force_option(opt, entry, args.opt)
    except UserError:
        return  # told, if it is ours to tell, where the options are parsed
    with option_errors_placed(args.opt, args.force_yml):
        _check_model_type(opt)


def _check_model_type(opt: dict[str, Any]) -> None:
    from basicsr.utils.registry import MODEL_REGISTRY

    from b2b_basicsr.checks.registered import registered  # imports what imports this

    if 'model_type' not in opt:
        raise OptionError('model_type', 'missing')
    registered(MODEL_REGISTRY, 'model_type', opt['model_type'])


def _check_parts(opt: dict[str, Any], is_train: bool) -> None:
    for check in SECTION_CHECKS:
        check(opt, is_train)


def _apply() -> None:
    wrap_parse_options(_checking)


MEND = Mend(name='option_checks', affects='all', needed=lambda: True, apply=_apply)
