"""When to stop without ground truth: candidates for a score that needs none, against the true gain over checkpoints.

Of each training (``experiments/NAME`` with its option file and several ``net_g_ITERATION.pth``) every checkpoint
restores the held-out blurry pictures. A candidate sees what a user has: the blurry, the translated and the restored
picture, sharp pictures of the camera (S) and K made of them. It is good if its rank correlation (Spearman) with the
gain, the restored pictures' PSNR less that of the directly deblurred ones, is high, and if the checkpoint that it
chooses loses little gain against the best one. The ground truth is read for the gain alone.

    cd OUT && python stopping_scores.py experiments/shake experiments/defocus

Paths in the option files are relative to the working folder, as in training.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import basicsr  # noqa: F401  (first, and whole: importing it imports all of ours)
import click
import cv2
import numpy as np
import torch
from basicsr.metrics.niqe import calculate_niqe
from numpy.typing import NDArray
from scipy.stats import spearmanr
from tqdm import tqdm

from b2b_basicsr.bench.timing_table import Table, Value, print_tables
from b2b_basicsr.data.picture_source import PictureSource, matched_pairs
from b2b_basicsr.errors import UserError, exit_with
from b2b_basicsr.metrics.natural_statistics import LikenessToPictures, picture_features
from b2b_basicsr.metrics.sharp_niqe_metric import BLOCK, low_pass_difference
from b2b_basicsr.options.option_file import read_option_file
from b2b_basicsr.prepare.blur_score import blur_score
from b2b_basicsr.prepare.known_source import known_source
from b2b_basicsr.restore.pipeline import Blur2BlurPipeline

Levels = NDArray[np.uint8]
Values = NDArray[np.float64]

_DISK = {'type': 'disk'}
_REFERENCES = 60
_BLOCKS = (32, BLOCK)
_FAITHFULNESS = (1, 2, 4, 8)
_REACH, _LOW_PASS, _RIDGE = 8, 8.0, 1e-3


@dataclass(frozen=True)
class Views:
    """One held-out picture at one checkpoint, BGR: x, G(x), D(G(x)) and D of that."""

    blurry: Levels
    translated: Levels
    restored: Levels
    deblurred_twice: Levels


@dataclass(frozen=True)
class References:
    """What a user has beside the pictures to judge, BGR: S, K, and K deblurred."""

    sharp: list[Levels]
    known: list[Levels]
    known_deblurred: list[Levels]


Candidate = Callable[[Views], float]
"""Lower is better."""


def _grey(picture: Levels) -> NDArray[np.float32]:
    return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)


def _derivatives(picture: Levels) -> list[list[NDArray[np.float32]]]:
    """Of three scales, in four directions each."""
    found: list[list[NDArray[np.float32]]] = []
    grey = _grey(picture)
    for _ in range(3):
        diagonals = (grey[1:, 1:] - grey[:-1, :-1], grey[1:, :-1] - grey[:-1, 1:])
        found.append([grey[:, 1:] - grey[:, :-1], grey[1:] - grey[:-1], *(each / 2**0.5 for each in diagonals)])
        grey = np.asarray(cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), dtype=np.float32)
    return found


def gradient_histogram(picture: Levels) -> Values:
    """Quantiles of the gradients' logarithm: differences of them are Wasserstein distances."""
    levels = (0.5, 0.75, 0.9, 0.97, 0.995)
    return np.concatenate(
        [np.log(np.quantile(np.abs(each), levels) + 1) for scale in _derivatives(picture) for each in scale]
    )


def directions(picture: Levels) -> Values:
    """Gradients of each scale and direction beside those of the coarsest scale."""
    energy = np.array([[np.log(np.abs(each).mean() + 0.5) for each in scale] for scale in _derivatives(picture)])
    return np.concatenate([(energy[:-1] - energy[-1]).ravel(), energy[-1] - energy[-1].mean()])


def ringing(picture: Levels) -> Values:
    """Correlations of the gradient with itself a few pixels on, along it and across."""
    found, grey = [], _grey(picture)
    for axis in (0, 1):
        gradient = np.diff(grey, axis=axis)
        for along in (0, 1):
            for lag in (1, 2, 3, 4, 6):
                later, earlier = (
                    np.take(gradient, range(start, start + gradient.shape[along] - lag), along) for start in (lag, 0)
                )
                found.append((later * earlier).mean() / (np.square(gradient).mean() + 1))
    return np.array(found)


def _likeness(features: Callable[[Levels], Values], pictures: Sequence[Levels], view: str) -> Candidate:
    likeness = LikenessToPictures.fitted(np.stack([features(picture) for picture in pictures]))
    return lambda views: likeness.distance(features(getattr(views, view)))


def reblur_residual(sharp: Levels, blurry: Levels) -> float:
    """RMS of the detail of a blurry picture that a sharp one, blurred by the least-squares kernel, does not explain.

    By the pictures' correlations, which wrap around at the borders.
    """
    detail = (_grey(each).astype(np.float64) for each in (sharp, blurry))
    source, target = (each - cv2.GaussianBlur(each, (0, 0), _LOW_PASS) for each in detail)
    height, width = source.shape
    spectrum = np.fft.rfft2(source)
    own = np.fft.irfft2(np.abs(spectrum) ** 2, s=source.shape)
    mutual = np.fft.irfft2(np.conj(spectrum) * np.fft.rfft2(target), s=source.shape)
    rows, columns = (side.ravel() for side in np.mgrid[-_REACH : _REACH + 1, -_REACH : _REACH + 1])
    gram = own[(rows[:, None] - rows) % height, (columns[:, None] - columns) % width]
    explained = mutual[rows % height, columns % width]
    kernel = np.linalg.solve(gram + (_RIDGE * own[0, 0] + 1e-9) * np.eye(len(rows)), explained)
    left = np.square(target).sum() - 2 * kernel @ explained + kernel @ gram @ kernel
    return float(np.sqrt(max(left, 0.0) / target.size))


def _mean_difference(views: Views) -> float:
    return float(np.abs(views.deblurred_twice.astype(np.float32) - views.restored).mean())


def candidates(references: References) -> dict[str, Candidate]:
    """By what a table says of them."""
    found: dict[str, Candidate] = {
        'NIQE (fixed corpus)': lambda views: float(calculate_niqe(views.restored, crop_border=0)),
        'blur effect': lambda views: blur_score(views.restored[..., ::-1]),
    }
    sets = (
        ('restored', 'S', references.sharp),
        ('restored', 'deblurred K', references.known_deblurred),
        ('translated', 'K', references.known),
    )
    for view, name, pictures in sets:
        for block in _BLOCKS:
            features = partial(picture_features, block=block)
            found[f'NIQE, blocks of {block}: {view} to {name}'] = _likeness(features, pictures, view)
        for what in (gradient_histogram, directions, ringing):
            found[f'{what.__name__.replace("_", " ")}: {view} to {name}'] = _likeness(what, pictures, view)
    to_sharp = found[f'NIQE, blocks of {BLOCK}: restored to S']

    def with_faithfulness(weight: float) -> Candidate:
        return lambda views: to_sharp(views) + weight * low_pass_difference(views.restored, views.translated)

    for weight in _FAITHFULNESS:
        found[f'calculate_sharp_niqe, faithfulness {weight:g}'] = with_faithfulness(weight)
    return found | {
        'low frequencies: restored to blurry': lambda views: low_pass_difference(views.restored, views.blurry),
        'low frequencies: restored to translated': lambda views: low_pass_difference(views.restored, views.translated),
        'blurred again: restored to translated': lambda views: reblur_residual(views.restored, views.translated),
        'blurred again: restored to blurry': lambda views: reblur_residual(views.restored, views.blurry),
        'deblurred twice: restored to itself': _mean_difference,
    }


def _middle(picture: Any, side: int) -> Levels:
    """Of an RGB picture; BGR."""
    levels = np.asarray(picture)
    top, left = (max(0, (length - side) // 2) for length in levels.shape[:2])
    return np.ascontiguousarray(levels[top : top + side, left : left + side, ::-1])


def _spread(count: int, most: int) -> list[int]:
    return [int(place) for place in np.linspace(0, count - 1, min(count, most)).round()]


def _run(pipeline: Blur2BlurPipeline, picture: Levels) -> Levels:
    result = pipeline(np.ascontiguousarray(picture[..., ::-1]))
    assert isinstance(result, np.ndarray)
    return np.ascontiguousarray(result[..., ::-1])


def _psnr(picture: Levels, gt: Levels) -> float:
    return float(-10 * np.log10(np.square(picture.astype(np.float64) - gt).mean() / 255**2 + 1e-12))


@dataclass(frozen=True)
class HeldOut:
    """Held-out pairs, BGR."""

    blurry: list[Levels]
    gt: list[Levels]

    @classmethod
    def of(cls, blurry: Path, gt: Path, count: int, side: int) -> HeldOut:
        """The middles of pictures spread evenly over two folders."""
        sources = [PictureSource(key, str(root), _DISK) for key, root in (('--blurry', blurry), ('--gt', gt))]
        pairs = matched_pairs(*sources)
        chosen = [pairs[place] for place in _spread(len(pairs), count)]
        first, second = (
            [_middle(source.read(pair[place]), side) for pair in chosen] for place, source in enumerate(sources)
        )
        return cls(first, second)


def references_of(opt: Mapping[str, Any], deblurrer: Blur2BlurPipeline, side: int) -> References:
    """What the training had, from its option file."""
    train = opt['datasets']['train']
    sharp = PictureSource('datasets:train:dataroot_sharp', train['dataroot_sharp'], train['io_backend'])
    taken = [_middle(sharp.read(place), side) for place in _spread(len(sharp), _REFERENCES)]
    if train.get('dataroot_known') is not None:
        ready = PictureSource('datasets:train:dataroot_known', train['dataroot_known'], train['io_backend'])
        known = [_middle(ready.read(place), side) for place in _spread(len(ready), _REFERENCES)]
    else:
        source = known_source(opt, torch.device('cpu'))
        places = [source.places[place] for place in _spread(len(source.places), _REFERENCES)]
        known = [_middle(source.make(place, seed)[0], side) for seed, place in enumerate(places)]
    return References(taken, known, [_run(deblurrer, picture) for picture in known])


@dataclass(frozen=True)
class Training:
    """The gain and every candidate's value at each checkpoint, in order.

    Args:
        name: of the training.
        iterations: of the checkpoints.
        gains: in dB.
        scores: candidate -> values.
        direct: candidate -> its value for x and D(x): no translation at all.
    """

    name: str
    iterations: list[int]
    gains: list[float]
    scores: dict[str, list[float]]
    direct: dict[str, float]

    def correlation(self, candidate: str) -> float:
        """Spearman's, of the gain and less the score; 0 of one that is the same for all."""
        if min(self.scores[candidate]) == max(self.scores[candidate]):
            return 0.0
        return float(spearmanr([-score for score in self.scores[candidate]], self.gains)[0])

    def lost(self, candidate: str) -> float:
        """Gain of the best checkpoint less that of the candidate's choice."""
        return max(self.gains) - self.gains[int(np.argmin(self.scores[candidate]))]

    def tells_gain(self, candidate: str) -> float:
        """The share of the checkpoints of which it tells whether they are better than no translation."""
        pairs = zip(self.scores[candidate], self.gains, strict=True)
        return float(np.mean([(score < self.direct[candidate]) == (gain > 0) for score, gain in pairs]))


def measured(
    experiment: Path, deblurrer_file: Path | None, held_out: tuple[Path, Path] | None, count: int, side: int
) -> Training:
    """Runs every checkpoint of a training.

    Raises:
        UserError: if the folder is no training with two checkpoints or more, or something that it needs is missing.
    """
    option_files = sorted(experiment.glob('*.yml'))
    checkpoints = {
        int(found[1]): path
        for path in (experiment / 'models').glob('net_g_*.pth')
        if (found := re.fullmatch(r'net_g_(\d+)\.pth', path.name))
    }
    if not option_files or len(checkpoints) < 2:
        raise UserError(f'{experiment}: needs an option file and two checkpoints models/net_g_ITERATION.pth or more')
    opt = read_option_file(option_files[0], 'EXPERIMENT')
    weights = deblurrer_file or (opt.get('path') or {}).get('pretrain_network_deblur')
    if weights is None:
        raise UserError(f'{option_files[0]}: path:pretrain_network_deblur is missing; give --deblurrer')
    deblurrer_opt = option_files[0] if opt.get('network_deblur') and deblurrer_file is None else None
    deblurrer = Blur2BlurPipeline.from_files(deblurrer=weights, deblurrer_opt=deblurrer_opt, device='cpu')
    if held_out is None:
        sets = [section for phase, section in opt['datasets'].items() if phase.startswith('val')]
        roots = [(section['dataroot_lq'], section['dataroot_gt']) for section in sets if section.get('dataroot_gt')]
        if not roots:
            raise UserError(f'{option_files[0]}: no validation set has a dataroot_gt; give --blurry and --gt')
        held_out = (Path(roots[0][0]), Path(roots[0][1]))
    pairs = HeldOut.of(*held_out, count, side)
    judges = candidates(references_of(opt, deblurrer, side))

    direct = [_run(deblurrer, picture) for picture in pairs.blurry]
    untranslated = [
        Views(x, x, d, _run(deblurrer, d)) for x, d in zip(pairs.blurry, direct, strict=True)
    ]  # fmt: skip
    gains: list[float] = []
    scores: dict[str, list[float]] = {name: [] for name in judges}
    for iteration in tqdm(sorted(checkpoints), desc=experiment.name, unit='checkpoint'):
        translator = Blur2BlurPipeline.from_files(
            translator=checkpoints[iteration], translator_opt=option_files[0], device='cpu'
        )
        every = []
        for picture in pairs.blurry:
            translated = _run(translator, picture)
            restored = _run(deblurrer, translated)
            every.append(Views(picture, translated, restored, _run(deblurrer, restored)))
        gains.append(_mean_gain(every, direct, pairs.gt))
        for name, judge in judges.items():
            scores[name].append(float(np.mean([judge(views) for views in every])))
    without = {name: float(np.mean([judge(views) for views in untranslated])) for name, judge in judges.items()}
    return Training(experiment.name, sorted(checkpoints), gains, scores, without)


def _mean_gain(every: Sequence[Views], direct: Sequence[Levels], gt: Sequence[Levels]) -> float:
    triples = zip(every, direct, gt, strict=True)
    return float(np.mean([_psnr(views.restored, sharp) - _psnr(other, sharp) for views, other, sharp in triples]))


def tables(trainings: Sequence[Training]) -> list[Table]:
    """The gains, the candidates' means over the trainings, and their correlations in each."""
    gains: list[dict[str, Value]] = [
        {'training': one.name, 'iterations': ' '.join(map(str, one.iterations)),
         'gain (dB)': ' '.join(f'{gain:.2f}' for gain in one.gains)}
        for one in trainings
    ]  # fmt: skip
    every = [_row(name, trainings) for name in trainings[0].scores]
    every.sort(key=lambda row: -float(row['correlation'] or 0))
    last = float(np.mean([max(one.gains) - one.gains[-1] for one in trainings]))
    every.append({'candidate': 'the last checkpoint', 'lost (dB)': last})
    return [Table('Gain at each checkpoint', gains), Table('Candidates, means over the trainings; then of each', every)]


def _row(candidate: str, trainings: Sequence[Training]) -> dict[str, Value]:
    correlations = {one.name: one.correlation(candidate) for one in trainings}
    return {
        'candidate': candidate,
        'correlation': float(np.mean(list(correlations.values()))),
        'lost (dB)': float(np.mean([one.lost(candidate) for one in trainings])),
        'tells gain': float(np.mean([one.tells_gain(candidate) for one in trainings])),
        **correlations,
    }


@click.command(help=(__doc__ or '').partition('\n\n')[0])
@click.argument('experiments', nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    '--deblurrer',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint instead of the option files' own.",
)
@click.option('--blurry', type=click.Path(exists=True, file_okay=False, path_type=Path), help='Held-out pictures, and')
@click.option('--gt', type=click.Path(exists=True, file_okay=False, path_type=Path), help='their sharp twins.')
@click.option('--pictures', type=click.IntRange(min=1), default=20, show_default=True, help='Held-out ones looked at.')
@click.option(
    '--side', type=click.IntRange(min=2 * 96), default=256, show_default=True, help='Of their middles, in pixels.'
)
@click.option('--json', 'as_json', is_flag=True, help='End with the tables as one line of JSON.')
def main(
    experiments: tuple[Path, ...],
    deblurrer: Path | None,
    blurry: Path | None,
    gt: Path | None,
    pictures: int,
    side: int,
    as_json: bool,
) -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if (blurry is None) != (gt is None):
        raise click.UsageError('--blurry and --gt go together')
    held_out = (blurry, gt) if blurry is not None and gt is not None else None
    try:
        trainings = [measured(experiment, deblurrer, held_out, pictures, side) for experiment in experiments]
    except UserError as error:
        exit_with(error)
    print_tables('Scores without ground truth, against the true gain', tables(trainings), as_json)


if __name__ == '__main__':
    main()
