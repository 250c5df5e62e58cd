"""Trains a narrow kernel network on photographs, and measures how well it carries a known blur over.

The photographs are split into training and held-out ones. Pairs are made with measured blur kernels (an .npz file of
them), each turned and scaled at random, in linear light. The network is trained by options/kernel_gopro.yml, narrowed.
Then, on centre crops of the held-out photographs, PSNR against the truly blurred picture of: the sharp picture ("no
blur"), and the re-blurred one; of the pair itself, and of the next photograph, given the pair's blur.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import torch
from basicsr.metrics import calculate_psnr
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from b2b_basicsr.archs import KernelWizard
from b2b_basicsr.data.linear_light import as_levels, blur_in_linear_light
from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.shipped_options import shipped_option_files

_HELD_OUT = 40
_PAIRS_OF_A_PHOTOGRAPH = 4
_CROP = 256
_NETWORK: dict[str, Any] = {'nf': 32, 'front_RBs': 2, 'back_RBs': 4, 'kernel_dim': 128, 'n_blocks': 1}

Levels = NDArray[np.uint8]
Kernel = NDArray[np.float32]


def varied(kernel: Kernel, generator: np.random.Generator) -> Kernel:
    """The kernel turned, scaled by 0.6 to 1.1, and centred on its centre of gravity."""
    scale, angle = generator.uniform(0.6, 1.1), generator.uniform(0, 360)
    side = int(np.ceil(max(kernel.shape) * 1.6)) | 1
    matrix = cv2.getRotationMatrix2D(((kernel.shape[1] - 1) / 2, (kernel.shape[0] - 1) / 2), angle, scale)
    matrix[:, 2] += [(side - kernel.shape[1]) / 2, (side - kernel.shape[0]) / 2]
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    turned = np.clip(cv2.warpAffine(kernel.astype(np.float64), matrix, (side, side), flags=flags), 0, None)
    turned = turned / turned.sum()
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    shift = -round((turned * rows).sum()), -round((turned * columns).sum())
    centred: Kernel = np.roll(turned, shift, (0, 1)).astype(np.float32)
    return centred


def save_pair(folder: Path, name: str, sharp: Levels, kernel: Kernel) -> None:
    """Writes a sharp picture and its blurry twin."""
    blurry = as_levels(blur_in_linear_light(sharp, kernel, np.random.default_rng(0)))
    for role, picture in (('sharp', sharp), ('blur', blurry)):
        path = folder / role / f'{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)


def make_pairs(photos: Path, kernels: list[Kernel], out: Path) -> list[tuple[Levels, Kernel]]:
    """Writes the pairs; gives the held-out photographs and their kernels."""
    source = PictureSource('--photos', str(photos), {'type': 'disk'})
    order = np.random.default_rng(0).permutation(len(source))
    held_out = []
    for place, index in enumerate(tqdm(order, desc='pairs', unit='photograph')):
        sharp = np.asarray(source.read(int(index)))
        if min(sharp.shape[:2]) < _CROP:
            raise click.UsageError(f'{source.path(int(index))} is smaller than {_CROP} pixels; take it out')
        name = f'{index:05}'
        if place < _HELD_OUT:
            kernel = varied(kernels[place % len(kernels)], np.random.default_rng([2, place]))
            held_out.append((sharp, kernel))
            save_pair(out / 'val', name, sharp, kernel)
            continue
        for copy in range(_PAIRS_OF_A_PHOTOGRAPH):
            generator = np.random.default_rng([1, place - _HELD_OUT, copy])
            kernel = varied(kernels[int(generator.integers(len(kernels)))], generator)
            save_pair(out / 'train', f'{name}_{copy}', sharp, kernel)
    return held_out


def train(out: Path, iterations: int) -> None:
    """Runs ``b2b train`` in ``out``."""
    option_file = next(file for file in shipped_option_files() if file.name == 'kernel_gopro.yml').resolve()
    every = max(1, iterations // 10)
    forced = {
        'name': 'kernel_network',
        'num_gpu': 'auto' if torch.cuda.is_available() else 0,
        **{
            f'datasets:{phase}:dataroot_{key}': f'{phase}/{role}'
            for phase in ('train', 'val')
            for key, role in (('lq', 'blur'), ('gt', 'sharp'))
        },
        'datasets:train:num_worker_per_gpu': 0,
        'datasets:train:batch_size_per_gpu': 2,
        'datasets:train:dataset_enlarge_ratio': 20,
        **{f'network_g:{key}': value for key, value in _NETWORK.items()},
        'train:amp': 'bf16',
        'train:ema_decay': 0.99,
        'train:optim_g:lr': 0.0005,
        'train:total_iter': iterations,
        'train:scheduler:periods': f'[{iterations}]',
        'train:scheduler:restart_weights': '[1]',
        'val:val_freq': every,
        'val:pbar': 'false',
        'logger:print_freq': every // 10 or 1,
        'logger:save_checkpoint_freq': every,
        'logger:use_tb_logger': 'false',
    }
    command = [sys.executable, '-m', 'b2b_basicsr', 'train', '-opt', str(option_file), '--force_yml']
    subprocess.run([*command, *(f'{key}={value}' for key, value in forced.items())], cwd=out, check=True)


def centre(picture: Levels) -> Levels:
    """The middle of a picture, as it is validated."""
    top, left = (picture.shape[0] - _CROP) // 2, (picture.shape[1] - _CROP) // 2
    return picture[top : top + _CROP, left : left + _CROP]


def as_tensor(picture: Levels) -> torch.Tensor:
    """[1, 3, h, w] in [0, 1]."""
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255


@torch.no_grad()
def score(net: KernelWizard, held_out: list[tuple[Levels, Kernel]]) -> None:
    """Prints the table."""
    found: dict[str, list[tuple[float, float]]] = {'the pair itself': [], 'the next photograph': []}
    for place, (sharp, kernel) in enumerate(tqdm(held_out, desc='scores', unit='photograph')):
        following = held_out[(place + 1) % len(held_out)][0]
        blurry = {
            name: centre(as_levels(blur_in_linear_light(picture, kernel, np.random.default_rng(0))))
            for name, picture in zip(found, (sharp, following), strict=True)
        }
        code, _ = net.encode(as_tensor(centre(sharp)), as_tensor(blurry['the pair itself']))
        for name, picture in zip(found, (centre(sharp), centre(following)), strict=True):
            made = net.transfer(as_tensor(picture), code)[0].clamp(0, 1).permute(1, 2, 0).numpy()
            pictures = picture, as_levels(made)
            no_blur, re_blurred = (float(calculate_psnr(one, blurry[name], crop_border=0)) for one in pictures)
            found[name].append((no_blur, re_blurred))
    print(f'{"PSNR dB to the truly blurred":30} no blur  re-blurred   gain  least gain')
    for name, pairs in found.items():
        columns = np.array(pairs)
        gains = columns[:, 1] - columns[:, 0]
        means = columns.mean(axis=0)
        print(f'{name:30} {means[0]:7.2f}  {means[1]:10.2f}  {gains.mean():+5.2f}  {gains.min():+10.2f}')


@click.command(help=__doc__)
@click.option('--photos', required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option('--kernels', required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help='An .npz.')
@click.option('-o', '--out', required=True, type=click.Path(file_okay=False, path_type=Path), help='A folder to make.')
@click.option('--iterations', default=5000, show_default=True)
def main(photos: Path, kernels: Path, out: Path, iterations: int) -> None:
    """Makes the pairs, trains, scores."""
    with np.load(kernels) as file:
        measured = [file[name].astype(np.float32) for name in file.files]
    out.mkdir(parents=True)
    held_out = make_pairs(photos, measured, out)
    train(out, iterations)
    path = out / 'experiments' / 'kernel_network' / 'models' / 'net_g_best.pth'
    net = KernelWizard(**_NETWORK).eval()
    net.load_state_dict(torch.load(path, weights_only=True, map_location='cpu')['params_ema'])
    score(net, held_out)


if __name__ == '__main__':
    main()
