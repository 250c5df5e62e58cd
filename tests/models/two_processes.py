"""What two processes do together, each run by ``torch.multiprocessing``: it writes what it found, for the tests."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from basicsr.data import build_dataloader, build_dataset
from basicsr.models import build_model
from basicsr.utils.options import parse_options
from torch import Tensor
from torch.utils.data import Dataset

from b2b_basicsr import processes
from b2b_basicsr.errors import ToldElsewhereError, UserError

Options = dict[str, Any]
COUNT = 2


def run(
    rank: int,
    ports: Sequence[int],
    folder: Path,
    gradients: Mapping[str, Options],
    averaged: Options,
    validated: Options,
) -> None:
    """One of the processes.

    Args:
        rank: its number.
        ports: where the processes meet, three times.
        folder: where they find ``right.yml`` and ``mistaken.yml``, option files, and leave ``RANK.pt``.
        gradients: name -> options of a model whose gradients are wanted.
        averaged: options of a model whose EMA is wanted.
        validated: options of a model that validates the sets in ``datasets``.
    """
    torch.set_num_threads(1)
    processes.HEAD_START = 0  # no torchrun is there to end the others
    os.environ |= {'RANK': str(rank), 'LOCAL_RANK': str(rank), 'WORLD_SIZE': str(COUNT), 'MASTER_ADDR': '127.0.0.1'}
    file = str(folder / 'mistaken.yml')
    found: dict[str, Any] = {
        'one without a file': _mistake(ports[0], str(folder / ('right.yml' if rank == 0 else 'gone.yml'))),
    }
    dist.destroy_process_group()
    forced = ('--force_yml', 'num_gpu=0') if rank == 0 else ()
    with (
        mock.patch('torch.cuda.device_count', return_value=1),
        mock.patch('torch.distributed.is_nccl_available', return_value=True),
    ):
        found['one without a GPU'] = _mistake(ports[1], str(folder / 'right.yml'), *forced)
    dist.destroy_process_group()
    found['mistake'] = _mistake(ports[2], file)  # where the processes meet for all that follows
    found |= {name: _gradients(opt, rank) for name, opt in gradients.items()}
    torch.manual_seed(rank)
    found['average'] = build_model(_of(averaged, rank)).net_g_ema.state_dict()
    found |= _validations(_of(validated, rank), rank)
    found |= _resumptions(_of(validated, rank), rank)
    found['spoilt'] = _spoilt(_of(gradients['blur2blur'], rank), rank)
    torch.save(found, folder / f'{rank}.pt')
    dist.destroy_process_group()


def _of(opt: Options, rank: int) -> Options:
    return {**deepcopy(opt), 'dist': True, 'rank': rank, 'world_size': COUNT}


def _mistake(port: int, *arguments: str) -> tuple[object, str]:
    """The exit status and standard error of BasicSR's parser."""
    os.environ['MASTER_PORT'] = str(port)
    sys.argv = ['train.py', '--launcher', 'pytorch', '-opt', *arguments]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parse_options('never')
    except SystemExit as end:
        return end.code, said.getvalue()
    return None, said.getvalue()


def _gradients(opt: Options, rank: int) -> dict[str, dict[str, Tensor]]:
    """Of the last of three steps on this process's shares of batches, and of one process's on the whole ones.

    In float64, but for ``amp``.
    """
    torch.set_default_dtype(torch.float32 if opt['train'].get('amp') else torch.float64)
    try:
        with mock.patch('b2b_basicsr.models.placement._SYNC_BUFFERS', 'broadcast_buffers'), warnings.catch_warnings():
            warnings.simplefilter('ignore', FutureWarning)  # torch's, of the old name; buffers are left to us by it
            return {'joined': _steps(_joined(opt), rank=0, count=1), 'shared': _steps(_of(opt, rank), rank, COUNT)}
    finally:
        torch.set_default_dtype(torch.float32)


def _joined(opt: Options) -> Options:
    opt = deepcopy(opt)
    opt['train'].pop('accum_iter', None)
    return opt


def _batch(step: int, side: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(step)
    return {name: torch.rand(4, 3, side, side, generator=generator) for name in ('lq', 'known', 'gt')}


def _steps(opt: Options, rank: int, count: int) -> dict[str, Tensor]:
    """All gradients, and the log, of the last step from known weights and random numbers, some of which are others'."""
    torch.manual_seed(opt['rank'])  # other weights in each process, until they take the first one's
    model = build_model(deepcopy(opt))
    side = 16 if opt['model_type'] == 'KernelWizardModel' else 32
    for step in (1, 2, 3):
        share = {name: pictures.chunk(count)[rank] for name, pictures in _batch(step, side).items()}
        # Each sample's own number of the penalty, as in the whole batch.
        model.generator.manual_seed(step)
        torch.rand(rank * len(share['lq']), generator=model.generator)
        model.feed_data(share)
        model.optimize_parameters(step)
    nets = {label: model.get_bare_model(getattr(model, label)) for label in ('net_g', 'net_d') if hasattr(model, label)}
    log = {f'log.{name}': torch.tensor(value) for name, value in model.get_current_log().items()}
    gradients = {
        f'{label}.{name}': parameter.grad.clone()
        for label, net in nets.items()
        for name, parameter in net.named_parameters()
        if parameter.grad is not None
    }
    return gradients | log


def _validations(opt: Options, rank: int) -> dict[str, Any]:
    model = _validating(opt)
    found: dict[str, Any] = {}
    for phase, section in opt['datasets'].items():
        if phase.startswith('val'):
            model.validation(build_dataloader(build_dataset(section), section), 1, None, True)
            found[f'means of {section["name"]}'] = dict(model.metric_results)
    found['best'] = deepcopy(model.best_metric_results)
    tested = _validating({**opt, 'is_train': False})
    section = opt['datasets']['val_0']
    tested.validation(build_dataloader(build_dataset(section), section), 'tested', None, False)
    found['tested'] = dict(tested.metric_results)
    with mock.patch.object(model, '_validate', _mistaken(model._validate)):
        found['told'] = _told(
            lambda: model.validation(build_dataloader(build_dataset(section), section), 1, None, False)
        )
    model.validation(build_dataloader(_Broken(section), section), 2, None, False)
    found['means without one'] = dict(model.metric_results)
    found['best without one'] = deepcopy(model.best_metric_results)
    return found


def _mistaken(validate: Callable[..., Any]) -> Callable[..., Any]:
    def validate_or_not(place: int, *others: Any) -> Any:
        if place == 1:
            raise UserError('picture 1 cannot be scored')
        return validate(place, *others)

    return validate_or_not


class _Broken(Dataset[Any]):
    """A set whose second picture cannot be read."""

    def __init__(self, opt: Options) -> None:
        self.opt = opt
        self.whole = build_dataset(opt)

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, index: int) -> Any:
        if index == 1:
            raise UserError('picture 1 cannot be read')
        return self.whole[index]


def _validating(opt: Options) -> Any:
    torch.manual_seed(opt['rank'])
    model = build_model(deepcopy(opt))
    model.load_network(model.net_g, opt['path']['weights'])
    return model


def _told(does: Callable[[], None]) -> tuple[str, str]:
    try:
        does()
    except ToldElsewhereError as error:
        return 'elsewhere', str(error)
    except UserError as error:
        return 'here', str(error)
    return 'nothing', ''


def _spoilt(opt: Options, rank: int) -> dict[str, Any]:
    """A step, one that is not finite in the second process alone, whose pictures were replaced, too, and one more."""
    model = build_model(deepcopy(opt))
    steps: list[dict[str, Any]] = []
    for iteration in (2, 4, 6):
        batch: dict[str, Any] = _batch(iteration, 32)
        if iteration == 4 and rank == 1:
            batch['lq'][0, 0, 0, 0] = float('nan')
            batch['replaced'] = ['', 'one is gone', 'another is gone', '']
        model.feed_data(batch)
        model.optimize_parameters(iteration)
        nets = (model.net_g, model.net_d, model.net_g_ema)
        weights = [deepcopy(model.get_bare_model(net).state_dict()) for net in nets]
        log = model.get_current_log()
        steps.append({'weights': weights, **{name: log.get(name) for name in ('skipped', 'replaced')}})
    return {'steps': steps}


def _resumptions(opt: Options, rank: int) -> dict[str, Any]:
    """What the models' generators draw after a state was saved: left alone, resumed, and resumed by another number."""
    model = _validating(opt)
    model.save(0, 1)
    dist.barrier()
    state = torch.load(Path(opt['path']['training_states'], '1.state'), weights_only=True)
    draws = {'draw': torch.rand(3, generator=model.generator)}
    model.resume_training(state)
    draws['draw resumed'] = torch.rand(3, generator=model.generator)
    model.resume_training({**state, 'generators': state['generators'][:1]})
    draws['draw of another number'] = torch.rand(3, generator=model.generator)
    return draws
