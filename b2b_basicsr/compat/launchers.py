"""``--launcher pytorch`` and ``--launcher slurm`` start on GPUs and on CPUs.

BasicSR's ``init_dist`` divides by the number of GPUs, and takes NCCL whatever the option file says. It is called while
the options are parsed, before ``num_gpu`` is looked at. For option files of ours the processes therefore meet before
that, by :func:`meet`, and ``init_dist`` finds them together; for others it does what it always did.

Nor do BasicSR's processes wait until the first of them has moved an older experiment of the same name out of the way.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from b2b_basicsr.compat.mend import Mend, basicsr_has_faults
from b2b_basicsr.compat.our_option_files import is_our_option_file
from b2b_basicsr.compat.rebinding import rebind
from b2b_basicsr.errors import UserError
from b2b_basicsr.processes import gathered

TORCHRUN = 'torchrun --nproc_per_node N basicsr/train.py -opt FILE --launcher pytorch'

_BACKENDS = ('nccl', 'gloo')
_FROM_TORCHRUN = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
_FROM_SLURM = {'RANK': 'SLURM_PROCID', 'WORLD_SIZE': 'SLURM_NTASKS', 'LOCAL_RANK': 'SLURM_LOCALID'}
_DEFAULT_PORT = 29500

_LATEST = timedelta(minutes=10)
"""After the first process the last one is to be there: they are started together, and have nothing else to do."""


@dataclass(frozen=True)
class Wish:
    """What one process reads in its option file, and sees on its machine.

    Args:
        backend: what is to carry gradients.
        on_gpu: whether it is to work on a GPU.
    """

    backend: str
    on_gpu: bool

    @classmethod
    def of(cls, opt: Mapping[str, Any]) -> Wish:
        """By ``num_gpu`` and ``dist_params: backend``.

        NCCL for GPUs, gloo for CPUs, which NCCL cannot serve, and wherever it is asked for.

        Raises:
            UserError: if there is no such backend.
        """
        import torch
        import torch.distributed as dist

        on_gpu = opt.get('num_gpu', 'auto') != 0 and torch.cuda.device_count() > 0
        wanted = _dist_params(opt).get('backend', 'nccl')
        if wanted not in _BACKENDS:
            raise UserError(f'dist_params:backend: {wanted!r}; write one of {", ".join(_BACKENDS)}')
        return cls('nccl' if wanted == 'nccl' and on_gpu and dist.is_nccl_available() else 'gloo', on_gpu)


def meet(launcher: str, opt: Mapping[str, Any], wish: Wish | None) -> None:
    """Has the processes of a training or test meet; they can talk to each other from then on.

    They talk over NCCL if all wish it, and over gloo otherwise: those that have read different files meet, too.

    Args:
        launcher: ``pytorch`` (torchrun's variables) or ``slurm``.
        opt: the option file as it is written: ``dist_params: port`` counts.
        wish: this process's; ``None`` if a mistake keeps it from having one, which it can tell once they have met.

    Raises:
        UserError: if the launcher's variables are not there, or the other processes are not.
    """
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    if launcher == 'slurm':
        _take_from_slurm(_dist_params(opt).get('port'))
    _check_environment(launcher)
    try:
        store, rank, count = next(rendezvous('env://', timeout=_LATEST))
        backends = _told_to_all(store, rank, count, '' if wish is None else wish.backend)
        store.set_timeout(dist.constants.default_pg_timeout)
        dist.init_process_group(
            'nccl' if set(backends) == {'nccl'} else 'gloo', store=store, rank=rank, world_size=count
        )
    except (RuntimeError, ValueError) as cause:
        place = f'{os.environ["MASTER_ADDR"]}:{os.environ["MASTER_PORT"]}'
        what = str(cause).partition('\n')[0]
        raise UserError(
            f'--launcher {launcher}: process {os.environ["RANK"]} of {os.environ["WORLD_SIZE"]} could not meet the '
            f'others at {place} ({what}): start all of them, with the same option file, and check MASTER_ADDR and '
            'MASTER_PORT'
        ) from cause


def _told_to_all(store: Any, rank: int, count: int, word: str) -> list[str]:
    """The words of all processes, by rank, where they cannot talk otherwise yet."""
    keys = [f'b2b_basicsr/{each}' for each in range(count)]
    store.set(keys[rank], word)
    try:
        store.wait(keys, _LATEST)
    except RuntimeError as cause:
        late = [str(each) for each, key in enumerate(keys) if not store.check([key])]
        raise RuntimeError(f'waited {_LATEST} for {", ".join(late)}') from cause
    return [store.get(key).decode() for key in keys]


def take_device(launcher: str, opt: Mapping[str, Any], wishes: Sequence[Wish], rank: int) -> str:
    """Gives a process a GPU of its own, or none.

    Args:
        launcher: ``pytorch`` or ``slurm``, which may show each process no GPU but its own.
        opt: the option file as it is written: ``num_gpu`` counts.
        wishes: those of all processes.
        rank: this one.

    Returns:
        What tells this GPU from all others, for :func:`refuse_shared_gpus`; nothing where it does not matter.

    Raises:
        UserError: if there is none for it, or the processes do not agree.
    """
    import torch
    import torch.distributed as dist

    wanted, there, on_gpu = opt.get('num_gpu', 'auto'), torch.cuda.device_count(), wishes[rank].on_gpu
    if len({wish.on_gpu for wish in wishes}) > 1:
        raise UserError(f'num_gpu: {wanted}: some machines have GPUs and some have none; set num_gpu: 0 for the CPU')
    if len({wish.backend for wish in wishes}) > 1:
        raise UserError('dist_params:backend: not the same for all processes; let all machines read the same file')
    if isinstance(wanted, int) and wanted > max(there, len(wishes) if there else 0):
        raise UserError(f'num_gpu: {wanted} asked for, {there} there; set num_gpu: auto, or 0 for the CPU')
    if not on_gpu:
        return ''
    place = 0 if launcher == 'slurm' and there == 1 else int(os.environ['LOCAL_RANK'])
    if place >= there:
        raise UserError(
            f'num_gpu: {wanted}: each process takes a GPU, and this machine has {there} for {place + 1} or more; '
            f'start fewer (torchrun --nproc_per_node {there}), or set num_gpu: 0 for the CPU'
        )
    torch.cuda.set_device(place)
    if not dist.is_initialized() or dist.get_backend() != 'nccl':
        return ''
    return f'{socket.gethostname()} {getattr(torch.cuda.get_device_properties(place), "uuid", f"process {rank}")}'


def refuse_shared_gpus(taken: Sequence[str]) -> None:
    """Refuses what NCCL would, which says so in every process, at length.

    Args:
        taken: what :func:`take_device` returned to all processes.

    Raises:
        UserError: if two have the same GPU.
    """
    gpus = [gpu for gpu in taken if gpu]
    if len(set(gpus)) < len(gpus):
        raise UserError(
            f'num_gpu: {len(gpus)} processes have {len(set(gpus))} GPUs, and NCCL wants one for each: start fewer, '
            'have SLURM give each its own (--gpus-per-task=1), or set dist_params: backend: gloo'
        )


def _dist_params(opt: Mapping[str, Any]) -> Mapping[str, Any]:
    settings = opt.get('dist_params')
    return settings if isinstance(settings, Mapping) else {}


def _check_environment(launcher: str) -> None:
    missing = [name for name in _FROM_TORCHRUN if not os.environ.get(name)]
    if missing:
        raise UserError(
            f'--launcher {launcher}: no {", ".join(missing)} in the environment; torchrun sets them: {TORCHRUN}'
        )
    for name in _FROM_TORCHRUN:
        if name != 'MASTER_ADDR' and not os.environ[name].isdecimal():
            raise UserError(f'--launcher {launcher}: {name}={os.environ[name]} in the environment is no number')


def _take_from_slurm(port: Any) -> None:
    """Sets torchrun's variables by those of ``srun``; the first machine's name is ``scontrol``'s to know."""
    missing = [name for name in _FROM_SLURM.values() if not os.environ.get(name)]
    if missing:
        raise UserError(
            f'--launcher slurm: no {", ".join(missing)} in the environment; srun sets them: srun python '
            'basicsr/train.py -opt FILE --launcher slurm'
        )
    os.environ.update({name: os.environ[slurm] for name, slurm in _FROM_SLURM.items()})
    if port is not None:
        os.environ['MASTER_PORT'] = str(port)
    os.environ.setdefault('MASTER_PORT', str(_DEFAULT_PORT))
    if not os.environ.get('MASTER_ADDR'):
        os.environ['MASTER_ADDR'] = _first_machine()


def _first_machine() -> str:
    nodes, scontrol = os.environ.get('SLURM_NODELIST', ''), shutil.which('scontrol')
    if nodes and scontrol:
        asked = subprocess.run([scontrol, 'show', 'hostnames', nodes], capture_output=True, text=True, check=False)
        if asked.returncode == 0 and asked.stdout.strip():
            return asked.stdout.split()[0]
    raise UserError(
        f'--launcher slurm: scontrol does not say the first machine of SLURM_NODELIST={nodes}; set MASTER_ADDR'
    )


def _unless_met(init_dist: Callable[..., None]) -> Callable[..., None]:
    def init(launcher: str, backend: str = 'nccl', **kwargs: Any) -> None:
        import torch.distributed as dist

        if not dist.is_initialized():
            init_dist(launcher, backend, **kwargs)

    return init


def _before_all_go_on(make_exp_dirs: Callable[..., None]) -> Callable[..., None]:
    def make(opt: dict[str, Any]) -> None:
        make_exp_dirs(opt)
        if is_our_option_file(opt):
            gathered(None)

    return make


def _apply() -> None:
    import functools

    from basicsr.utils import dist_util, misc

    for original, wrapper in ((dist_util.init_dist, _unless_met), (misc.make_exp_dirs, _before_all_go_on)):
        rebind(original, functools.wraps(original)(wrapper(original)))


MEND = Mend(name='launchers', affects='basicsr <= 1.4.2', needed=basicsr_has_faults, apply=_apply)
