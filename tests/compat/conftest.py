"""A tiny option file of somebody else's, and BasicSR's own scripts to run it with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import basicsr
import cv2
import numpy as np
import pytest
import yaml

Script = Callable[..., 'subprocess.CompletedProcess[str]']

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='session')
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three pictures each in ``gt`` (48 x 48) and ``lq`` (24 x 24)."""
    folder = tmp_path_factory.mktemp('pictures')
    random = np.random.default_rng(0)
    for name in ('gt', 'lq'):
        (folder / name).mkdir()
    for index in range(3):
        picture = random.integers(0, 256, (48, 48, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / 'gt' / f'{index}.png'), picture)
        cv2.imwrite(str(folder / 'lq' / f'{index}.png'), picture[::2, ::2])
    return folder


@pytest.fixture
def options(pictures: Path) -> dict[str, Any]:
    """An option file of BasicSR's ``SRModel`` on ``pictures``: batch 2, 8 iterations."""
    data = {
        'type': 'PairedImageDataset',
        'dataroot_gt': str(pictures / 'gt'),
        'dataroot_lq': str(pictures / 'lq'),
        'io_backend': {'type': 'disk'},
    }
    return {
        'name': 'tiny',
        'model_type': 'SRModel',
        'scale': 2,
        'num_gpu': 0,
        'manual_seed': 0,
        'datasets': {
            'train': {
                'name': 'tiny_train',
                **data,
                'gt_size': 16,
                'use_hflip': True,
                'use_rot': False,
                'num_worker_per_gpu': 0,
                'batch_size_per_gpu': 2,
            },
        },
        'network_g': {
            'type': 'MSRResNet',
            'num_in_ch': 3,
            'num_out_ch': 3,
            'num_feat': 4,
            'num_block': 1,
            'upscale': 2,
        },
        'path': {'pretrain_network_g': None, 'strict_load_g': True, 'resume_state': None},
        'train': {
            'ema_decay': 0.9,
            'optim_g': {'type': 'Adam', 'lr': 1e-3, 'betas': [0.9, 0.99]},
            'scheduler': {'type': 'MultiStepLR', 'milestones': [4], 'gamma': 0.5},
            'total_iter': 8,
            'warmup_iter': -1,
            'pixel_opt': {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'},
        },
        'logger': {'print_freq': 1, 'save_checkpoint_freq': 4, 'use_tb_logger': False},
    }


@pytest.fixture
def write_options(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Return a function that writes options to a file."""

    def write(options: dict[str, Any]) -> Path:
        path = tmp_path / f'{options.get("name", "nameless")}.yml'
        path.write_text(yaml.safe_dump(options, sort_keys=False))
        return path

    return write


@pytest.fixture
def option_file(write_options: Callable[[dict[str, Any]], Path], options: dict[str, Any]) -> Path:
    """The file with ``options``."""
    return write_options(options)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A working copy laid out like BasicSR's repository: ``basicsr/train.py`` in a folder that is no site-packages."""
    folder = tmp_path / 'BasicSR'
    installed = Path(basicsr.__file__).parent
    shutil.copytree(installed, folder / 'basicsr')
    return folder


@pytest.fixture
def run_python(tmp_path: Path) -> Script:
    """Return a function that runs Python with arguments in a folder, as a user would, without a GPU."""

    def run(
        *arguments: object, cwd: Path = tmp_path, path: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=cwd,
            env={
                **os.environ,
                'PYTHONPATH': os.pathsep.join(map(str, filter(None, (path, REPOSITORY)))),
                'OMP_NUM_THREADS': '1',
                'CUDA_VISIBLE_DEVICES': '',
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
