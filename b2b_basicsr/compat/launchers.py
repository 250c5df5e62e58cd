"""``--launcher pytorch`` and ``--launcher slurm`` start on GPUs and on CPUs.

BasicSR's ``init_dist`` divides by the number of GPUs, and takes NCCL whatever the option file says. It is called while
the options are parsed, before ``num_gpu`` is looked at. For option files of ours the processes therefore meet before
that, by :func:`meet`, and ``init_dist`` finds them together; for others it does what it always did.

Nor do BasicSR's processes wait until the first of them has moved an older experiment of the same name out of the way.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

from b2b_basicsr.compat.mend import Mend, basicsr_has_faults
from b2b_basicsr.compat.rebinding import rebind
from b2b_basicsr.errors import UserError
from b2b_basicsr.processes import gathered, this_process

TORCHRUN = 'torchrun --nproc_per_node N basicsr/train.py -opt FILE --launcher pytorch'

_BACKENDS = ('nccl', 'gloo')
_FROM_TORCHRUN = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
_FROM_SLURM = {'RANK': 'SLURM_PROCID', 'WORLD_SIZE': 'SLURM_NTASKS', 'LOCAL_RANK': 'SLURM_LOCALID'}
_DEFAULT_PORT = 29500


def meet(launcher: str, opt: Mapping[str, Any]) -> None:
    """Has the processes of a training or test meet; they can talk to each other from then on.

    Args:
        launcher: ``pytorch`` (torchrun's variables) or ``slurm``.
        opt: the option file as it is written: ``num_gpu`` and ``dist_params`` count.

    Raises:
        UserError: if the launcher's variables are not there, or the other processes are not.
    """
    import torch.distributed as dist

    settings = opt.get('dist_params')
    settings = settings if isinstance(settings, Mapping) else {}
    if launcher == 'slurm':
        _take_from_slurm(settings.get('port'))
    _check_environment(launcher)
    try:
        dist.init_process_group(_backend(settings.get('backend', 'nccl'), _wants_gpu(opt)))
    except (RuntimeError, ValueError) as cause:
        place = f'{os.environ["MASTER_ADDR"]}:{os.environ["MASTER_PORT"]}'
        what = str(cause).partition('\n')[0]
        raise UserError(
            f'--launcher {launcher}: process {os.environ["RANK"]} of {os.environ["WORLD_SIZE"]} could not meet the '
            f'others at {place} ({what}): start all of them, and check MASTER_ADDR and MASTER_PORT'
        ) from cause


def take_device(opt: Mapping[str, Any]) -> None:
    """Gives every process a GPU of its own, or none; all processes must call it, after :func:`meet`.

    Raises:
        UserError: if there is none for it, or some machines have GPUs and some have not.
    """
    import torch

    wanted, there, (_, count) = opt.get('num_gpu', 'auto'), torch.cuda.device_count(), this_process()
    on_gpu = _wants_gpu(opt)
    if len(set(gathered(on_gpu))) > 1:
        raise UserError(f'num_gpu: {wanted}: some machines have GPUs and some have none; set num_gpu: 0 for the CPU')
    if isinstance(wanted, int) and wanted > max(there, count if there else 0):
        raise UserError(f'num_gpu: {wanted} asked for, {there} there; set num_gpu: auto, or 0 for the CPU')
    place = int(os.environ['LOCAL_RANK'])
    if on_gpu and place >= there:
        raise UserError(
            f'num_gpu: {wanted}: each process takes a GPU, and this machine has {there} for {place + 1} or more; '
            f'start fewer (torchrun --nproc_per_node {there}), or set num_gpu: 0 for the CPU'
        )
    if on_gpu:
        torch.cuda.set_device(place)


def _wants_gpu(opt: Mapping[str, Any]) -> bool:
    import torch

    return opt.get('num_gpu', 'auto') != 0 and torch.cuda.device_count() > 0


def _backend(wanted: Any, on_gpu: bool) -> str:
    """What carries gradients: NCCL for GPUs, gloo for CPUs, which NCCL cannot serve, and wherever it is asked for."""
    import torch.distributed as dist

    if wanted not in _BACKENDS:
        raise UserError(f'dist_params:backend: {wanted!r}; write one of {", ".join(_BACKENDS)}')
    return 'nccl' if wanted == 'nccl' and on_gpu and dist.is_nccl_available() else 'gloo'


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
        gathered(None)

    return make


def _apply() -> None:
    import functools

    from basicsr.utils import dist_util, misc

    for original, wrapper in ((dist_util.init_dist, _unless_met), (misc.make_exp_dirs, _before_all_go_on)):
        rebind(original, functools.wraps(original)(wrapper(original)))


MEND = Mend(name='launchers', affects='basicsr <= 1.4.2', needed=basicsr_has_faults, apply=_apply)
