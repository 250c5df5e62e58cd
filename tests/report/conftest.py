"""Small runs as BasicSR and our models leave them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from b2b_basicsr.records.picture_scores import ScoredPicture, write_picture_scores
from b2b_basicsr.records.validation_history import ValidationHistory
from b2b_basicsr.report.run_folder import open_run, report_file
from b2b_basicsr.report.run_report import write_report

COLOURS = {  # BGR; each kind is one colour, with a square that shows the place
    'lq': (200, 60, 20),
    'direct': (20, 20, 220),
    'translated': (20, 200, 220),
    'restored': (20, 180, 20),
    'gt': (240, 240, 240),
}
OPTIONS = """2026-11-22 17:17:25,329 INFO:{space}
                ____                _       _____  ____
               / __ ) ____ _ _____ (_)_____/ ___/ / __ \\
Version Information:{space}
\tBasicSR: 1.4.2
2026-11-22 17:17:25,329 INFO:{space}
  name: run
  model_type: Blur2BlurModel
  datasets:[
    val:[
      name: held_out
    ]
  ]
  network_g:[
    type: NAFNet
    enc_blk_nums: [1, 1]
  ]
  path:[
    pretrain_network_g: weights/net_g_best.pth
    resume_state: None
  ]
  train:[
    total_iter: 1000
  ]
  val:[
    best: {best}
    metrics:[
      psnr:[
        type: calculate_psnr
      ]
      lpips:[
        type: somebody_elses_metric
        better: lower
      ]
      niqe:[
        type: calculate_niqe
        better: lower
      ]
    ]
  ]

2026-11-22 17:17:25,333 INFO: Dataset [UnpairedBlurDataset] - blurry_and_sharp is built.
"""


def picture(kind: str, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    levels = np.full((height, width, 3), COLOURS[kind], dtype=np.uint8)
    levels[height // 2 - 8 : height // 2 + 8, width // 2 - 8 : width // 2 + 8] = 0
    return levels


def saved(path: Path, levels: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), levels)
    return path


def step(iteration: int, value: float) -> str:
    return (
        f'2026-11-22 17:19:22,926 INFO: [demo_..][epoch:  0, iter:{iteration:8,d}, lr:(2.136e-04,2.1e-04,)] '
        f'[eta: 0:00:45, time (data): 0.309 (0.040)] l_g_gan: {value:.4e} l_d_real: nan out_d_real: -1.2636e+00 \n'
    )


@pytest.fixture
def test_run(tmp_path: Path) -> Path:
    """results/run, as :func:`make_test_run` makes it."""
    return make_test_run(tmp_path / 'results' / 'run')


def report_of(folder: Path, out: Path | None = None, **settings: Any) -> Path:
    """Writes a run's report as the command does; its path."""
    run = open_run(folder)
    path = report_file(run, out)
    write_report(run, path, **settings)
    return path


def make_test_run(folder: Path) -> Path:
    """A test of three pictures of every kind, one of them without direct."""
    pictures = []
    for place, name in enumerate(['scene0/a', 'scene0/b', 'scene1/<b>&"c"']):
        files = {
            kind: saved(folder / 'visualization' / 'held_out' / f'{place}_{kind}.png', picture(kind))
            for kind in COLOURS
            if (place, kind) != (1, 'direct')
        }
        values = {'psnr': 25.0 + place, 'ssim': 0.8, 'psnr_blurry': 26.5, 'ssim_blurry': 0.7}
        values |= {'psnr_direct': 24.0, 'ssim_direct': 0.9, 'gain': 1.0 + place}
        pictures.append(ScoredPicture(name, values, files))
    write_picture_scores(folder / 'held_out.csv', pictures)
    (folder / 'test_run_20261122_171725.log').write_text(OPTIONS.format(space=' ', best=None))
    return folder


@pytest.fixture
def training_run(tmp_path: Path) -> Path:
    """experiments/run: resumed at 300, three validations, the best at 200; pictures of 100 and 200."""
    folder = tmp_path / 'experiments' / 'run'
    (folder / 'training_states').mkdir(parents=True)
    begin = OPTIONS.format(space=' ', best='psnr')
    first = begin + ''.join(step(iteration, iteration) for iteration in (100, 200, 300, 400))
    (folder / 'train_run_20261122_171725.log').write_text(first)
    second = begin + ''.join(step(iteration, iteration / 1000) for iteration in (300, 1400))
    (folder / 'train_run_20261122_191725.log').write_text(second)
    history = ValidationHistory(folder / 'training_states' / 'validations.jsonl')
    for iteration, psnr in ((100, 24.0), (200, 26.0), (300, 25.0)):
        history.add('held_out', iteration, {'psnr': psnr, 'psnr_direct': 23.5, 'gain': psnr - 23.5})
    for iteration in (100, 200, 300):
        saved_here = folder / 'visualization' / 'held_out' / 'a'
        files = {'lq': saved(tmp_path / 'data' / 'a.png', picture('lq', 100, 120))}
        if iteration < 300:
            files['restored'] = saved(saved_here / f'a_{iteration}.png', picture('restored'))
        table = folder / 'visualization' / 'held_out' / f'held_out_{iteration}.csv'
        write_picture_scores(table, [ScoredPicture('a', {'psnr': iteration / 10}, files)])
    return folder
