from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import yaml
from basicsr.utils.options import parse_options

from b2b_basicsr.compat import launchers
from b2b_basicsr.errors import UserError
from b2b_basicsr.processes import failing_together, gathered, gathered_by_first, this_process

Ending = Callable[..., str]

ENVIRONMENT = {'RANK': '0', 'WORLD_SIZE': '1', 'LOCAL_RANK': '0', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': '0'}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of a launcher, and none left behind."""
    for name in (*ENVIRONMENT, 'SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID', 'SLURM_NODELIST'):
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)


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
        path.write_text(yaml.safe_dump({**options, 'model_type': 'DeblurModel', **changed}))
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
    assert "dist_params:backend: 'mpi'; write one of nccl, gloo" in ending(
        '--launcher', 'pytorch', dist_params={'backend': 'mpi'}
    )


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
    met: list[str] = []
    monkeypatch.setattr(dist, 'init_process_group', met.append)
    monkeypatch.setattr(dist, 'is_nccl_available', lambda: True)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    launchers.meet('pytorch', {'num_gpu': asked, 'dist_params': {'backend': wanted}})
    assert met == [backend]


@pytest.mark.parametrize(
    ('place', 'there', 'asked', 'taken'),
    [(1, 2, 'auto', [1]), (1, 2, 2, [1]), (0, 1, 1, [0]), (3, 0, 'auto', []), (3, 2, 0, [])],
)
def test_each_process_takes_a_gpu(
    gpus: Callable[[int], list[int]],
    monkeypatch: pytest.MonkeyPatch,
    place: int,
    there: int,
    asked: Any,
    taken: list[int],
) -> None:
    found = gpus(there)
    monkeypatch.setenv('LOCAL_RANK', str(place))
    launchers.take_device({'num_gpu': asked})
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
    with pytest.raises(UserError, match=why):
        launchers.take_device({'num_gpu': asked})


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
