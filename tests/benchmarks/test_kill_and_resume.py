"""The twenty kills in short: a few, for each model and both commands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import kill_and_resume
from benchmarks.kill_and_resume import compare, differences
from tests.compat.conftest import checkout  # noqa: F401  a fixture


def run(output: Path, *arguments: object) -> str:
    command = [sys.executable, kill_and_resume.__file__, '-o', output, *arguments]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_killed_three_times_it_is_the_same_training(tmp_path: Path) -> None:
    said = run(tmp_path / 'out', '--kills', 3)
    assert re.search(r'killed 3 times, .*; files that differ: 0 of', said)
    assert {'models/net_g_best.pth', 'models/net_d_latest.pth', 'training_states/validations.jsonl'} <= {
        line.removesuffix(': the same') for line in said.splitlines()
    }


@pytest.mark.slow
def test_by_the_literal_script_too(tmp_path: Path, checkout: Path) -> None:  # noqa: F811
    script = checkout / 'basicsr' / 'train.py'
    said = run(
        tmp_path / 'out', '--kills', 1, '--model', 'DeblurModel', '--workers', 1, '--script', script
    )  # fmt: skip
    assert re.search(r'killed 1 times, .*; files that differ: 0 of', said)


@pytest.mark.slow
def test_told_to_end_it_ends_and_goes_on(tmp_path: Path) -> None:
    said = run(tmp_path / 'out', '--kills', 2, '--model', 'KernelWizardModel', '--stop')
    assert re.search(r'killed 2 times, .*; files that differ: 0 of', said)
    log = (tmp_path / 'out' / 'killed' / 'log.txt').read_text()
    assert log.count('To go on: b2b train') == 2


def test_a_difference_is_seen(tmp_path: Path) -> None:
    for name, value in (('one', 1.0), ('two', 1.0 + 2**-52)):
        for folder in ('models', 'training_states'):
            (tmp_path / name / folder).mkdir(parents=True)
        content = {'params': {'weight': torch.tensor([1.0, value], dtype=torch.float64)}, 'same': [3]}
        torch.save(content, tmp_path / name / 'models' / 'net_g_1.pth')
        torch.save({'iter': 1, 'lr': value}, tmp_path / name / 'training_states' / '1.state')
    torch.save({}, tmp_path / 'one' / 'models' / 'net_d_1.pth')
    torch.save({}, tmp_path / 'two' / 'models' / 'net_d_2.pth')
    found = compare(tmp_path / 'one', tmp_path / 'two')
    assert found['models/net_g_1.pth'] == ['/params/weight']
    assert found['training_states/1.state'] == ['/lr']
    assert found['models/net_d_1.pth'] == ['not there']
    assert 'models/net_d_2.pth' not in found, 'saved when it was told to end'
    assert differences({'a': 1}, {'b': 1}) != []
    assert differences([1, (2,)], [1, (2,)]) == []
