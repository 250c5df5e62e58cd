from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import yaml
from basicsr.utils import misc
from basicsr.utils.options import parse_options
from torch._C._distributed_c10d import HashStore

from b2b_basicsr.compat import launchers
from b2b_basicsr.compat.launchers import Wish
from b2b_basicsr.errors import UserError
from b2b_basicsr.processes import failing_together, gathered, gathered_by_first, this_process

Ending = Callable[..., str]

ENVIRONMENT = {'RANK': '0', 'WORLD_SIZE': '1', 'LOCAL_RANK': '0', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': '0'}

RENDEZVOUS = sys.modules['torch.distributed.rendezvous']  # torch gives the function in it the name, too


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """None of a launcher, and none left behind, nor a meeting."""
    for name in (*ENVIRONMENT, 'SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID', 'SLURM_NODELIST'):
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Has torch count so many GPUs; gives the list of those that are taken."""

    def set_count(count: int) -> list[int]:
        taken: list[int] = []
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: count)
        monkeypatch.setattr(torch.cuda, 'set_device', taken.append)
        return taken

    return set_count


@pytest.fixture
def ending(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ending:
    """The one line that an option file of ours ends in."""

    def line(*arguments: str, **changed: Any) -> str:
        path = tmp_path / 'ours.yml'
        path.write_text(yaml.safe_dump({**options, 'model_type': 'DeblurModel', 'scale': 1, **changed}))
        monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', str(path), *arguments])
        with pytest.raises(SystemExit) as end:
            parse_options(str(tmp_path), is_train=True)
        assert end.value.code == 2
        (said,) = capsys.readouterr().err.splitlines()
        return said

    return line


def test_without_torchrun(ending: Ending) -> None:
    said = ending('--launcher', 'pytorch')
    assert said.startswith('error: --launcher pytorch: no RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT in')
    assert 'torchrun --nproc_per_node N basicsr/train.py -opt FILE --launcher pytorch' in said


def test_variables_that_are_no_numbers(ending: Ending, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENVIRONMENT, 'RANK': 'first'}.items():
        monkeypatch.setenv(name, value)
    assert 'RANK=first in the environment is no number' in ending('--launcher', 'pytorch')


def test_torchrun_without_the_launcher(ending: Ending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('RANK', '0')
    monkeypatch.setenv('WORLD_SIZE', '2')
    assert 'WORLD_SIZE=2 in the environment: add --launcher pytorch' in ending()


def test_processes_apart_are_told_once(ending: Ending, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('RANK', '1')
    monkeypatch.setenv('WORLD_SIZE', '2')
    monkeypatch.setattr('b2b_basicsr.compat.option_checks.HEAD_START', 0)
    with pytest.raises(ValueError, match='not enough values to unpack'):  # no line at all
        ending()


def test_an_unknown_backend(ending: Ending, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, 'excepthook', sys.__excepthook__)
    said = ending('--launcher', 'pytorch', dist_params={'backend': 'mpi'})
    assert said.endswith(": dist_params:backend: 'mpi': must be 'nccl' or 'gloo'")
    assert dist.is_initialized(), 'the others have been told'
    assert sys.excepthook.__module__ == 'b2b_basicsr.checks.late_errors', 'one lost on the way is a line, too'


def test_a_mistake_is_told_though_the_others_are_not_there(ending: Ending) -> None:
    said = ending('--launcher', 'pytorch', '--force_yml', 'train')
    assert said.startswith('error: --force_yml train: must be KEY=VALUE')


@pytest.mark.parametrize(
    ('wanted', 'gpus_there', 'asked', 'backend'),
    [
        ('nccl', 2, 'auto', 'nccl'),
        ('nccl', 2, 2, 'nccl'),
        ('nccl', 2, 0, 'gloo'),
        ('nccl', 0, 'auto', 'gloo'),
        ('gloo', 2, 'auto', 'gloo'),
    ],
)
def test_the_backend(
    gpus: Callable[[int], list[int]],
    monkeypatch: pytest.MonkeyPatch,
    wanted: str,
    gpus_there: int,
    asked: Any,
    backend: str,
) -> None:
    gpus(gpus_there)
    monkeypatch.setattr(dist, 'is_nccl_available', lambda: True)
    wish = Wish.of({'num_gpu': asked, 'dist_params': {'backend': wanted}})
    assert wish == Wish(backend, on_gpu=gpus_there > 0 and asked != 0)


@pytest.mark.parametrize(
    ('mine', 'others', 'taken'),
    [
        (Wish('nccl', True), 'nccl', 'nccl'),
        (Wish('nccl', True), 'gloo', 'gloo'),
        (Wish('nccl', True), '', 'gloo'),
        (Wish('gloo', True), 'nccl', 'gloo'),
        (None, 'nccl', 'gloo'),
    ],
)
def test_processes_of_different_wishes_meet(
    monkeypatch: pytest.MonkeyPatch, mine: Wish | None, others: str, taken: str
) -> None:
    """The other process's word lies there already; both must come to the same backend."""
    store = HashStore()
    store.set('b2b_basicsr/1', others)
    monkeypatch.setattr(RENDEZVOUS, 'rendezvous', lambda *_, **__: iter([(store, 0, 2)]))
    met: list[tuple[str, int, int]] = []
    monkeypatch.setattr(
        dist, 'init_process_group', lambda backend, store, rank, world_size: met.append((backend, rank, world_size))
    )
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    launchers.meet('pytorch', {}, mine)
    assert met == [(taken, 0, 2)]
    assert store.get('b2b_basicsr/0').decode() == ('' if mine is None else mine.backend)


def test_processes_that_do_not_come(monkeypatch: pytest.MonkeyPatch, ending: Ending) -> None:
    store = HashStore()
    store.set('b2b_basicsr/2', 'gloo')
    monkeypatch.setattr(RENDEZVOUS, 'rendezvous', lambda *_, **__: iter([(store, 0, 4)]))
    monkeypatch.setattr(launchers, '_LATEST', timedelta(seconds=0.1))
    for name, value in {**ENVIRONMENT, 'WORLD_SIZE': '4'}.items():
        monkeypatch.setenv(name, value)
    said = ending('--launcher', 'pytorch')
    assert 'process 0 of 4 could not meet the others at 127.0.0.1:0 (waited 0:00:00.100000 for 1, 3): start' in said


@pytest.mark.parametrize(
    ('launcher', 'place', 'there', 'asked', 'taken'),
    [
        ('pytorch', 1, 2, 'auto', [1]),
        ('pytorch', 1, 2, 2, [1]),
        ('pytorch', 0, 1, 1, [0]),
        ('pytorch', 3, 0, 'auto', []),
        ('pytorch', 3, 2, 0, []),
        ('slurm', 1, 2, 'auto', [1]),
        ('slurm', 3, 1, 'auto', [0]),  # --gpus-per-task=1: it sees its own alone
    ],
)
def test_each_process_takes_a_gpu(
    gpus: Callable[[int], list[int]],
    monkeypatch: pytest.MonkeyPatch,
    launcher: str,
    place: int,
    there: int,
    asked: Any,
    taken: list[int],
) -> None:
    found = gpus(there)
    monkeypatch.setenv('LOCAL_RANK', str(place))
    opt = {'num_gpu': asked}
    launchers.take_device(launcher, opt, [Wish.of(opt)], 0)
    assert found == taken


@pytest.mark.parametrize(
    ('place', 'there', 'asked', 'why'),
    [
        (2, 2, 'auto', 'num_gpu: auto: each process takes a GPU, and this machine has 2 for 3 or more'),
        (0, 0, 2, 'num_gpu: 2 asked for, 0 there'),
        (0, 2, 3, 'num_gpu: 3 asked for, 2 there'),
    ],
)
def test_gpus_that_cannot_be_had(
    gpus: Callable[[int], list[int]], monkeypatch: pytest.MonkeyPatch, place: int, there: int, asked: Any, why: str
) -> None:
    gpus(there)
    monkeypatch.setenv('LOCAL_RANK', str(place))
    opt = {'num_gpu': asked}
    with pytest.raises(UserError, match=why):
        launchers.take_device('pytorch', opt, [Wish.of(opt)], 0)


def test_processes_that_do_not_agree() -> None:
    with pytest.raises(UserError, match='num_gpu: auto: some machines have GPUs and some have none'):
        launchers.take_device('pytorch', {}, [Wish('gloo', True), Wish('gloo', False)], 0)
    with pytest.raises(UserError, match='dist_params:backend: not the same for all processes'):
        launchers.take_device('pytorch', {}, [Wish('gloo', True), Wish('nccl', True)], 0)


def test_a_gpu_for_two_processes() -> None:
    launchers.refuse_shared_gpus(['', ''])
    launchers.refuse_shared_gpus(['node1 a', 'node1 b', 'node2 a'])
    with pytest.raises(UserError, match='num_gpu: 3 processes have 2 GPUs, and NCCL wants one for each'):
        launchers.refuse_shared_gpus(['node1 a', 'node1 b', 'node1 a'])


@pytest.mark.parametrize('ours', [True, False])
def test_processes_wait_for_the_folders_of_our_trainings(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    waited: list[None] = []
    monkeypatch.setattr(launchers, 'gathered', waited.append)
    path = {'experiments_root': str(tmp_path / 'experiment'), 'models': str(tmp_path / 'experiment' / 'models')}
    model = {'model_type': 'DeblurModel'} if ours else {}
    misc.make_exp_dirs({**options, **model, 'path': path, 'is_train': True, 'rank': 0})
    assert Path(path['models']).is_dir()
    assert waited == ([None] if ours else [])


def test_slurms_variables_become_torchruns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scontrol = tmp_path / 'scontrol'
    scontrol.write_text('#!/bin/sh\n[ "$3" = "node[1-2]" ] && printf "node1\\nnode2\\n"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    given = {'SLURM_PROCID': '3', 'SLURM_NTASKS': '4', 'SLURM_LOCALID': '1', 'SLURM_NODELIST': 'node[1-2]'}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    launchers._take_from_slurm(29511)
    wanted = {'RANK': '3', 'WORLD_SIZE': '4', 'LOCAL_RANK': '1', 'MASTER_ADDR': 'node1', 'MASTER_PORT': '29511'}
    assert {name: os.environ[name] for name in wanted} == wanted


def test_slurm_without_srun_or_a_first_machine(ending: Ending, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 'no SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID in the environment; srun sets them' in ending(
        '--launcher', 'slurm'
    )
    for name in ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'):
        monkeypatch.setenv(name, '1')
    monkeypatch.setenv('SLURM_NODELIST', 'node[1-2]')
    monkeypatch.setenv('PATH', '')
    assert 'the first machine of SLURM_NODELIST=node[1-2]; set MASTER_ADDR' in ending('--launcher', 'slurm')


def test_files_of_others_start_as_before(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BasicSR's own ``init_dist`` misses its variable."""
    path = tmp_path / 'theirs.yml'
    path.write_text(yaml.safe_dump(options))
    monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', str(path), '--launcher', 'pytorch'])
    with pytest.raises(KeyError, match='RANK'):
        parse_options(str(tmp_path), is_train=True)


def test_one_process_is_all() -> None:
    assert this_process() == (0, 1)
    assert gathered('it') == ['it']
    assert gathered_by_first('it') == ['it']
    mistake = UserError('its own')
    with pytest.raises(UserError) as caught, failing_together():
        raise mistake
    assert caught.value is mistake
