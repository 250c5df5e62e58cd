"""Our option files under torchrun, in BasicSR's own scripts, run literally, on two CPU processes."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from basicsr.data import build_dataloader, build_dataset
from basicsr.models import build_model

from tests.checks.conftest import data, options, write  # noqa: F401  fixtures
from tests.compat.conftest import Script, checkout, run_python  # noqa: F401

Options = dict[str, Any]
TORCHRUN = (Path(sys.executable).with_name('torchrun'), '--standalone', '--nproc_per_node', 2)


def _rows(table: Path) -> list[dict[str, str]]:
    """Scores, without the files, whose folders differ."""
    with table.open(newline='') as file:
        return [{key: row[key] for key in ('picture', 'psnr', 'psnr_direct', 'gain')} for row in csv.DictReader(file)]


@pytest.mark.slow
def test_train_and_resume(
    options: Options,  # noqa: F811
    write: Callable[[Options], Path],  # noqa: F811
    checkout: Path,  # noqa: F811
    run_python: Script,  # noqa: F811
    tmp_path: Path,
) -> None:
    options['num_gpu'] = 'auto'
    options['dist_params'] = {'backend': 'nccl', 'port': 29500}
    options['logger']['use_tb_logger'] = True
    options['datasets']['train'] |= {'batch_size_per_gpu': 1, 'num_worker_per_gpu': 1}
    script = ('basicsr/train.py', '-opt', write(options), '--launcher', 'pytorch')

    trained = run_python(*TORCHRUN, *script, cwd=checkout, path=checkout)
    assert trained.returncode == 0, trained.stderr
    log = trained.stderr
    assert 'Processes: 2, over gloo, since dist_params: backend: nccl does not serve the cpu.' in log
    assert [int(found) for found in re.findall(r'iter:\s+(\d+), lr', log)] == [1, 2, 3, 4, 5], 'one process tells'
    experiment = checkout / 'experiments' / 'tiny'
    names = ['net_d_5', 'net_d_latest', 'net_g_5', 'net_g_best', 'net_g_latest']
    assert sorted(path.stem for path in (experiment / 'models').iterdir()) == names
    saved = torch.load(experiment / 'models' / 'net_g_5.pth', weights_only=True)
    assert saved.keys() == {'params', 'params_ema', 'network'}
    assert not any(name.startswith('module.') for name in saved['params'])
    assert len(list((checkout / 'tb_logger' / 'tiny').glob('events*'))) == 1
    assert sorted(path.name for path in (experiment / 'visualization' / 'test').glob('*/*_5.png')) == [
        f'{index}_5.png' for index in range(3)
    ]

    resumed = run_python(
        *TORCHRUN, *script, '--auto_resume', '--force_yml', 'train:total_iter=7', cwd=checkout, path=checkout
    )
    assert resumed.returncode == 0, resumed.stderr
    assert [int(found) for found in re.findall(r'iter:\s+(\d+), lr', resumed.stderr)] == [6, 7]
    assert 'of the model start anew' not in resumed.stderr

    # The weights of iteration 5, tested by one process.
    section = {**options['datasets']['val'], 'phase': 'test', 'scale': 1}
    for training_only in ('train', 'network_d', 'logger'):
        del options[training_only]
    options['path'] |= {
        'pretrain_network_g': str(experiment / 'models' / 'net_g_5.pth'),
        'param_key_g': 'params_ema',
        'results_root': str(tmp_path / 'results'),
    }
    torch.set_num_threads(1)
    model = build_model({**options, 'num_gpu': 0, 'is_train': False, 'dist': False})
    model.validation(build_dataloader(build_dataset(section), section), 'tested', None, False)
    alone = _rows(tmp_path / 'results' / 'test.csv')
    assert _rows(experiment / 'visualization' / 'test' / 'test_5.csv') == alone
    first = json.loads((experiment / 'training_states' / 'validations.jsonl').read_text().splitlines()[0])
    assert first['values'] == model.metric_results
    assert f'# psnr: {model.metric_results["psnr"]:.4f}' in log
