"""Is a training that is killed again and again the same, to the bit, as one that is left alone?

Makes small pictures and option files, runs a training alone, and the same training killed with SIGKILL at random
moments, its workers with it, and resumed with --auto_resume. A kill comes a random while after a random iteration was
logged; of four kills one each aims at a step, at the saving of a state, at a validation and at the end of an epoch.
Then all tensors and numbers of the checkpoints (G, its EMA, D, the best), of the last state (optimisers, schedules,
generators, best values) and of the validations are compared. With --stop the training is told to end instead (SIGTERM
and SIGINT, its workers, too), which it does by itself.

    python benchmarks/kill_and_resume.py -o OUT --model Blur2BlurModel --kills 20
"""

from __future__ import annotations

import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

_SAVE_EVERY, _VALIDATE_EVERY = 4, 6
_PICTURES, _BATCH = 7, 2
_BATCHES_PER_EPOCH = _PICTURES // _BATCH
_LOGGED_ITERATION = re.compile(r'iter:\s*([\d,]+), lr')
_EVERY = {'step': 1, 'saving': _SAVE_EVERY, 'validation': _VALIDATE_EVERY, 'end of an epoch': _BATCHES_PER_EPOCH}
_LONGEST_DELAY = 0.25  # seconds behind the line that says an iteration is done


@dataclass
class Kill:
    """One: what it aimed at, when it came, and what the files showed."""

    aim: str
    iteration: int
    delay: float
    unfinished_files: int
    ended_by_itself: bool


def make_inputs(folder: Path) -> None:
    """Small pictures in B, S, lq and gt, and the weights of a deblurrer."""
    import numpy as np
    import torch
    from PIL import Image

    from b2b_basicsr.archs.nafnet_arch import NAFNet

    generator = np.random.default_rng(0)
    for name in ('B', 'S', 'lq', 'gt'):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(_PICTURES):
            levels = generator.integers(0, 256, (12, 14, 3), dtype=np.uint8)
            Image.fromarray(levels).resize((56, 48)).save(folder / name / f'{index}.png')
    torch.manual_seed(0)
    torch.save({'params': NAFNet(width=4, enc_blk_nums=[1], dec_blk_nums=[1]).state_dict()}, folder / 'deblur.pth')


def option_tree(inputs: Path, model: str, total_iter: int, workers: int) -> dict[str, Any]:
    """The options of a small training with dropout, EMA, two validation sets, and states that are saved often."""
    pairs = {'dataroot_lq': str(inputs / 'lq'), 'dataroot_gt': str(inputs / 'gt'), 'io_backend': {'type': 'disk'}}
    loader = {'num_worker_per_gpu': workers, 'batch_size_per_gpu': _BATCH, 'gt_size': 32}
    adam = {'type': 'Adam', 'lr': 0.001, 'betas': [0.5, 0.999]}
    val_sets = {
        name: {'name': name, 'type': 'PairedFolderDataset', **pairs}
        for name in (('val', 'val_2') if model != 'KernelWizardModel' else ('val',))
    }
    psnr = {'type': 'calculate_psnr', 'crop_border': 0}
    opt: dict[str, Any] = {
        'name': 'killed',
        'model_type': model,
        'scale': 1,
        'num_gpu': 0,
        'manual_seed': 3,
        'datasets': {'train': {'name': 'train', 'type': 'PairedImageDataset', **pairs, **loader}, **val_sets},
        'path': {},
        'train': {
            'ema_decay': 0.9,
            'optim_g': adam,
            'scheduler': {'type': 'LinearDecayLR', 'start': total_iter // 3},
            'total_iter': total_iter,
            'pixel_opt': {'type': 'L1Loss', 'loss_weight': 1.0},
        },
        'val': {'val_freq': _VALIDATE_EVERY, 'save_img': False, 'metrics': {'psnr': psnr}},
        'logger': {'print_freq': 1, 'save_checkpoint_freq': _SAVE_EVERY, 'use_tb_logger': True},
    }  # fmt: skip
    opt['val']['best'] = 'gain' if model == 'KernelWizardModel' else 'psnr'
    opt['datasets']['train'] |= {'use_hflip': True, 'use_rot': True}
    if model == 'Blur2BlurModel':
        b2b = {'dataroot_blur': str(inputs / 'B'), 'dataroot_sharp': str(inputs / 'S')}
        shake = {'length': [3, 9], 'shot_noise': [0, 0.01], 'on_device': True}
        opt['datasets']['train'] = {
            **{'name': 'train', 'type': 'UnpairedBlurDataset', 'io_backend': {'type': 'disk'}, **b2b, **loader},
            'synth_known_opt': shake,
            'augment_opt': {'scale': [0.8, 1.2], 'contrast': [0.8, 1.2]},
        }
        opt['network_g'] = {'type': 'MIMOUNetPlus', 'num_res': 1, 'base_channel': 8, 'drop': 0.2}
        opt['network_d'] = {'type': 'PatchGANDiscriminator', 'num_feat': 8, 'n_layers': 1, 'norm': 'spectral'}
        opt['network_deblur'] = {'type': 'NAFNet', 'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]}
        opt['path']['pretrain_network_deblur'] = str(inputs / 'deblur.pth')
        opt['train'] |= {'net_d_iters': 2, 'accum_iter': 2}
        opt['train'] |= {'optim_d': dict(adam), 'pixel_opt': {'type': 'BlockMeanLoss'}, 'gp_opt': {'weight': 0.0001}}
        opt['train']['gan_opt'] = {'type': 'GANLoss', 'gan_type': 'hinge', 'loss_weight': 0.1}
    elif model == 'DeblurModel':
        opt['network_g'] = {'type': 'NAFNet', 'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]}
        opt['train'] |= {'optim_g': {'type': 'AdamW', 'lr': 0.001}, 'max_grad_norm': 0.01}
        opt['datasets']['train'] |= {'prefetch_mode': 'cpu', 'num_prefetch_queue': 3, 'dataset_enlarge_ratio': 2}
        opt['val']['save_img'] = True
        opt['train']['mixup_opt'] = {'beta': 1.2}
    else:
        narrow = {'nf': 8, 'front_RBs': 1, 'back_RBs': 1, 'kernel_dim': 16}
        opt['network_g'] = {'type': 'KernelWizard', **narrow, 'use_vae': True}
        opt['train']['kl_opt'] = {'weight': 0.001}
        opt['datasets']['train']['gt_size'] = 48
    return opt


def command(option_file: Path, script: Path | None, resumes: bool) -> list[str]:
    """``b2b train``, or a training script of BasicSR's, literally."""
    program = ['-m', 'b2b_basicsr', 'train'] if script is None else [str(script)]
    return [sys.executable, '-u', *program, '-opt', str(option_file), *(['--auto_resume'] if resumes else [])]


def started(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    """The training, in a session of its own."""
    environment = {**os.environ, 'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': os.environ.get('OMP_NUM_THREADS', '1')}
    pipes: dict[str, Any] = {'stdout': subprocess.PIPE, 'stderr': subprocess.STDOUT}
    return subprocess.Popen(arguments, cwd=folder, text=True, start_new_session=True, env=environment, **pipes)


def lines_of(training: subprocess.Popen[str], log: Path) -> Iterator[str]:
    """What it prints, line by line, kept in a file."""
    assert training.stdout is not None
    with log.open('a') as file:
        for line in training.stdout:
            file.write(line)
            yield line


def run_alone(arguments: list[str], folder: Path) -> float:
    """Runs a training to its end; gives the seconds.

    Raises:
        RuntimeError: if it fails.
    """
    start = time.perf_counter()
    training = started(arguments, folder)
    last = list(lines_of(training, folder / 'log.txt'))[-5:]
    if training.wait() != 0:
        raise RuntimeError(f'the training failed:\n{"".join(last)}')
    return time.perf_counter() - start


def run_until_killed(
    arguments: list[str], folder: Path, aim: str, ahead: int, dice: random.Random, stops: bool
) -> Kill:
    """Runs a training until some iterations behind its first one, and kills it a moment later.

    Raises:
        RuntimeError: if it ends with an error before.
    """
    training = started(arguments, folder)
    delay, target, first, reached, last = dice.uniform(0, _LONGEST_DELAY), math.inf, None, 0, ''
    for line in lines_of(training, folder / 'log.txt'):
        last = line
        found = _LOGGED_ITERATION.search(line)
        if found is None:
            continue
        reached = int(found.group(1).replace(',', ''))
        if first is None:
            first = reached
            target = math.ceil((first + ahead) / _EVERY[aim]) * _EVERY[aim]
        if reached >= target:
            break
    else:
        if training.wait() != 0:
            raise RuntimeError(f'the training ended with {training.returncode}: {last}')
        return Kill(aim, reached, 0.0, 0, ended_by_itself=True)
    time.sleep(delay)
    if stops:
        number = dice.choice([signal.SIGTERM, signal.SIGINT])
        os.killpg(training.pid, number)
        rest = list(lines_of(training, folder / 'log.txt'))
        if training.wait() != 128 + number or 'Traceback' in ''.join(rest):
            raise RuntimeError(f'told to end, the training ended with {training.returncode}:\n{"".join(rest[-5:])}')
    else:
        os.killpg(training.pid, signal.SIGKILL)
        training.wait()
    experiment = folder / 'experiments' / 'killed'
    unfinished = [path for path in experiment.rglob('.*') if path.is_file()]
    return Kill(aim, reached, delay, len(unfinished), ended_by_itself=False)


def differences(one: Any, other: Any, place: str = '') -> list[str]:
    """Where two contents of files differ: tensors and numbers to the bit."""
    import torch

    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape and bool(torch.equal(one, other))
        return [] if same else [place]
    if isinstance(one, dict) and isinstance(other, dict):
        found = [f'{place}/{key}' for key in one.keys() ^ other.keys()]
        return found + [
            at for key in one.keys() & other.keys() for at in differences(one[key], other[key], f'{place}/{key}')
        ]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [at for index, pair in pairs for at in differences(*pair, f'{place}/{index}')]
    return [] if type(one) is type(other) and one == other else [place]


def compare(one: Path, other: Path) -> dict[str, list[str]]:
    """Differences of the last state, all checkpoints and all validations of two experiments, by file of the first one.

    The other one may have more: those that it saved when it was told to end.
    """
    from collections import Counter

    import torch

    from b2b_basicsr.records.validation_history import ValidationHistory

    files = {path.relative_to(one) for path in (one / 'models').glob('*.pth')}
    last = max((one / 'training_states').glob('*.state'), key=lambda path: int(path.stem))
    found: dict[str, list[str]] = {}
    with torch.serialization.safe_globals([Counter]):
        for file in sorted(files | {last.relative_to(one)}):
            if not (other / file).is_file():
                found[str(file)] = ['not there']
                continue
            contents = [torch.load(folder / file, weights_only=True) for folder in (one, other)]
            for content in contents:
                content.pop('saved_iterations', None)  # what was saved, not what was learned
            found[str(file)] = differences(*contents)
    curves = Path('training_states', 'validations.jsonl')
    first, second = (list(ValidationHistory(folder / curves).until(10**9)) for folder in (one, other))
    found[str(curves)] = differences(first, second)
    return found


@click.command(help=__doc__)
@click.option('-o', 'output', type=click.Path(path_type=Path), required=True, help='A new folder.')
@click.option(
    '--model',
    type=click.Choice(['Blur2BlurModel', 'DeblurModel', 'KernelWizardModel']),
    default='Blur2BlurModel',
    show_default=True,
)
@click.option('--kills', type=click.IntRange(min=1), default=20, show_default=True)
@click.option('--workers', type=click.IntRange(min=0), default=2, show_default=True, help='Of the data loader.')
@click.option('--seed', type=int, default=0, show_default=True, help='Of the moments.')
@click.option(
    '--script', type=click.Path(exists=True, path_type=Path), help="BasicSR's train.py, instead of b2b train."
)
@click.option('--stop', 'stops', is_flag=True, help='SIGTERM and SIGINT instead of SIGKILL.')
def main(output: Path, model: str, kills: int, workers: int, seed: int, script: Path | None, stops: bool) -> None:
    """Exit status 0 where nothing differs."""
    import yaml

    if output.exists():
        raise click.UsageError(f'{output} is there: give a new folder')
    dice = random.Random(seed)
    # In the background of a shell it may be ignored, and a training that is started from here would ignore it, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    inputs = (output / 'inputs').resolve()
    make_inputs(inputs)
    script = script.resolve() if script is not None else None
    option_file = output.resolve() / 'killed.yml'
    total_iter = (12 if stops else 5) * kills + 11  # what was saved at the end is not done again
    option_file.write_text(yaml.safe_dump(option_tree(inputs, model, total_iter, workers)))
    alone, killed = output / 'alone', output / 'killed'
    roots = [folder if script is None else script.parent.parent for folder in (alone, killed)]
    for folder in (alone, killed):
        folder.mkdir()
    seconds = run_alone(command(option_file, script, False), alone)
    if script is not None:
        (roots[0] / 'experiments').rename(alone / 'experiments')
        (killed / 'experiments').symlink_to(roots[1] / 'experiments')
    print(f'{model}, {total_iter} iterations, left alone: {seconds:.0f} s')
    done: list[Kill] = []
    while len(done) < kills:
        aim = list(_EVERY)[len(done) % len(_EVERY)]
        resumes = bool(done)
        kill = run_until_killed(command(option_file, script, resumes), killed, aim, dice.randint(0, 7), dice, stops)
        if kill.ended_by_itself:
            break
        done.append(kill)
        print(
            f'{len(done):3}. killed {kill.delay * 1000:3.0f} ms behind iteration {kill.iteration} ({kill.aim}); '
            f'unfinished files: {kill.unfinished_files}',
            flush=True,
        )
    run_alone(command(option_file, script, True), killed)
    experiments = [folder / 'experiments' / 'killed' for folder in (alone, killed)]
    found = compare(*experiments)
    for file, places in found.items():
        print(f'{file}: {"the same" if not places else f"{len(places)} differ: " + ", ".join(places[:5])}')
    caught = sum(kill.unfinished_files > 0 for kill in done)
    differing = sum(map(bool, found.values()))
    print(
        f'killed {len(done)} times, {caught} of them while a file was written; files that differ: {differing} of '
        f'{len(found)}'
    )
    if differing or len(done) < kills:
        raise SystemExit(1)


if __name__ == '__main__':
    main()
