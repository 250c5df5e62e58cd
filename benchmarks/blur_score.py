"""Compares measures of blur without ground truth on photographs that are blurred here.

Every sharp photograph is blurred by camera shake of several lengths, and by the kernels of an .npz file if one is
given. A measure is good if it orders one photograph by the width of its blur (rank correlation within scenes), and
above all if it tells weakly from strongly blurred photographs of different scenes (AUC), as selecting needs it. The
width of a kernel is its standard deviation in pixels along its longest axis.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr
from skimage.measure import blur_effect
from tqdm import tqdm

from b2b_basicsr.data.camera_shake import CameraShake
from b2b_basicsr.data.linear_light import blur_in_linear_light
from b2b_basicsr.prepare.blur_score import blur_score
from b2b_basicsr.prepare.select_pictures import open_pictures

_LENGTHS = (0, 2, 5, 9, 15, 25, 35)
_WEAK, _STRONG = 1.7, 3.5
_SECTORS = 8

Picture = NDArray[np.uint8]


def _grey(picture: Picture) -> NDArray[np.float64]:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), dtype=np.float64) / 255


def _laplacian(picture: Picture) -> float:
    """Less its variance of the Laplacian (Pech-Pacheco et al. 2000)."""
    return -float(cv2.Laplacian(_grey(picture), cv2.CV_64F).var())


def _worst_sector(picture: Picture) -> float:
    """Energy of middle over high frequencies, in the direction where it is largest."""
    grey = _grey(picture)
    height, width = grey.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    energy = np.abs(np.fft.rfft2((grey - grey.mean()) * window)) ** 2
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    radius = np.hypot(rows, columns)
    sector = (np.arctan2(rows, columns) % np.pi / np.pi * _SECTORS).astype(int) % _SECTORS
    middle, high = (radius > 0.02) & (radius < 0.06), (radius > 0.1) & (radius < 0.35)
    return max(
        float(np.log(energy[middle & (sector == place)].mean() / energy[high & (sector == place)].mean()))
        for place in range(_SECTORS)
    )


def _smoothed_effect(h_size: int) -> Callable[[Picture], float]:
    return lambda picture: float(blur_effect(cv2.GaussianBlur(_grey(picture), (0, 0), 1), h_size=h_size))


MEASURES: dict[str, Callable[[Picture], float]] = {
    'blur effect, as scikit-image has it (h_size 11)': lambda picture: float(blur_effect(_grey(picture))),
    'blur effect, h_size 15': lambda picture: float(blur_effect(_grey(picture), h_size=15)),
    'blur effect, h_size 11, after a Gaussian': _smoothed_effect(11),
    'blur effect, h_size 15, after a Gaussian': _smoothed_effect(15),
    'blur effect, h_size 21, after a Gaussian': _smoothed_effect(21),
    'b2b prepare select: h_size 15, Gaussian, 4 directions': blur_score,
    'variance of the Laplacian': _laplacian,
    'high frequencies, worst direction': _worst_sector,
}


def _width(kernel: NDArray[np.float32]) -> float:
    rows, columns = np.mgrid[: kernel.shape[0], : kernel.shape[1]]
    places = np.stack([columns - (kernel * columns).sum(), rows - (kernel * rows).sum()]).reshape(2, -1)
    return float(np.sqrt(max(np.linalg.eigvalsh((places * kernel.ravel()) @ places.T)[-1], 0)))


def _auc(strong: NDArray[np.float64], weak: NDArray[np.float64]) -> float:
    """The chance that a strongly blurred picture scores above a weakly blurred one."""
    ranks = rankdata(np.concatenate([strong, weak]))[: len(strong)]
    return float((ranks.sum() - len(strong) * (len(strong) + 1) / 2) / (len(strong) * len(weak)))


@click.command()
@click.option('--photos', type=click.Path(path_type=Path), required=True, help='Folder of sharp photographs.')
@click.option('--kernels', type=click.Path(exists=True, dir_okay=False), help='.npz file of blur kernels.')
@click.option('--count', type=click.IntRange(min=2), default=100, show_default=True, help='Photographs, spread evenly.')
@click.option('--noise', type=float, multiple=True, default=(0.0, 0.02), show_default=True, help='Shot noise.')
@click.option('--seed', type=int, default=0, show_default=True)
def main(photos: Path, kernels: str | None, count: int, noise: tuple[float, ...], seed: int) -> None:
    """Print a table of the measures, for each level of noise."""
    cv2.setNumThreads(1)
    source = open_pictures('--photos', photos)
    places = np.linspace(0, len(source) - 1, min(count, len(source))).round().astype(int)
    given: list[NDArray[np.float32]] = []
    if kernels:
        with np.load(kernels) as file:
            given = [(file[name] / file[name].sum()).astype(np.float32) for name in file.files]
    click.echo(
        f'{platform.machine()}, scikit-image {version("scikit-image")}, {date.today()}; {len(places)} photographs'
    )
    for shot_noise in noise:
        widths: list[float] = []
        scenes: list[int] = []
        scores: dict[str, list[float]] = {name: [] for name in MEASURES}
        seconds = dict.fromkeys(MEASURES, 0.0)
        for place in tqdm(places, desc=f'Noise {shot_noise:g}', unit='photograph'):
            generator = np.random.default_rng([seed, int(place)])
            sharp = np.asarray(source.read(int(place)))
            shakes = [CameraShake(length=(length, length)).kernel(generator) for length in _LENGTHS]
            for kernel in [*shakes, *given]:
                blurred = blur_in_linear_light(sharp, kernel, generator, shot_noise, shot_noise / 5)
                picture = (blurred * 255).round().astype(np.uint8)
                widths.append(_width(kernel))
                scenes.append(int(place))
                for name, measure in MEASURES.items():
                    start = time.process_time()
                    scores[name].append(measure(picture))
                    seconds[name] += time.process_time() - start
        width, scene = np.array(widths), np.array(scenes)
        click.echo(f'shot noise {shot_noise:g}: {(width < _WEAK).sum()} weakly, {(width > _STRONG).sum()} strongly')
        click.echo('| measure | AUC | within scenes | over scenes | ms |\n| --- | --- | --- | --- | --- |')
        for name, values in scores.items():
            score = np.array(values)
            auc = _auc(score[width > _STRONG], score[width < _WEAK])
            within = np.mean([spearmanr(score[scene == one], width[scene == one])[0] for one in places])
            over = spearmanr(score, width)[0]
            cost = seconds[name] / len(values) * 1000
            click.echo(f'| {name} | {auc:.3f} | {within:.2f} | {over:.2f} | {cost:.0f} |')


if __name__ == '__main__':
    main()
