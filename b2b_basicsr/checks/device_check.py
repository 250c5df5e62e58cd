"""The devices that an option file asks for."""

from __future__ import annotations

import argparse
from typing import Any

import torch

from b2b_basicsr.compat.launchers import TORCHRUN
from b2b_basicsr.errors import UserError
from b2b_basicsr.options.option_file import read_option_file


def check_device(opt: dict[str, Any], args: argparse.Namespace) -> None:
    """Checks ``num_gpu`` and the launcher against what is there.

    Raises:
        UserError: if a device is not there, or one process would take several.
    """
    wanted, there = opt['num_gpu'], torch.cuda.device_count()
    if not isinstance(wanted, int) or wanted < 0:
        raise UserError(f'num_gpu: {wanted!r}; write 0 for the CPU, a number of GPUs, or auto')
    if opt['dist']:
        return  # each process has found its own already
    if wanted > there:
        raise UserError(f'num_gpu: {wanted} asked for, {there} there; set num_gpu: auto, or 0 for the CPU')
    if wanted > 1 and _says_auto(args):
        print(
            f'num_gpu: auto: one of {there} GPUs, since one process trains on one. All: {_torchrun(there)}', flush=True
        )
        opt['num_gpu'] = wanted = 1
    if wanted > 1:
        raise UserError(
            f'num_gpu: {wanted} in one process would be DataParallel, which the gradient penalty does not go with; '
            f'start a process for each GPU ({_torchrun(wanted)}), or set num_gpu: 1'
        )


def _torchrun(processes: int) -> str:
    return TORCHRUN.replace(' N ', f' {processes} ')


def _says_auto(args: argparse.Namespace) -> bool:
    """Whether the number of GPUs is BasicSR's, which puts all there are in the place of ``auto``."""
    forced = [entry.partition('=')[2].strip() for entry in args.force_yml or () if entry.startswith('num_gpu')]
    if forced:
        return forced[-1] == 'auto'
    return bool(read_option_file(args.opt)['num_gpu'] == 'auto')
