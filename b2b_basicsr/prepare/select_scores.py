"""Scores of all pictures of a set, computed in parallel, written and read as CSV."""

from __future__ import annotations

import csv
import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from basicsr.metrics import calculate_psnr
from numpy.typing import NDArray
from tqdm import tqdm

from b2b_basicsr.data.picture_source import PictureSource, matched_pairs
from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.blur_score import MEASURE, blur_score
from b2b_basicsr.prepare.whole_or_nothing import MANIFEST

SCORES_FILE = 'scores.csv'
_COLUMNS = ('picture', 'blur', 'psnr', 'kept')


@dataclass(frozen=True)
class PictureScore:
    """What is known of one picture.

    Args:
        name: relative path, or LMDB key.
        blur: its blur score, in [0, 1].
        psnr: against its sharp twin, in decibels; infinite for twins that are the same; ``None`` without twins.
    """

    name: str
    blur: float
    psnr: float | None = None


@dataclass(frozen=True)
class ScoredSet:
    """Pictures to be scored, with or without sharp twins.

    Args:
        source: the pictures.
        sharp: their twins.
        resize: shorter side in pixels that they are scored at; ``None``: their own size.
    """

    source: PictureSource
    sharp: PictureSource | None
    resize: int | None

    def settings(self) -> dict[str, str | int | None]:
        """What its scores depend on, for the manifest."""
        return {
            'folder': str(self.source.root.resolve()),
            'sharp': str(self.sharp.root.resolve()) if self.sharp else None,
            'resize': self.resize or 0,
            'measure': MEASURE,
        }

    def pairs(self) -> list[tuple[int, int | None]]:
        """Places of each picture and its twin, in the source's order.

        Raises:
            UserError: if a picture has no twin.
        """
        if self.sharp is None:
            return [(place, None) for place in range(len(self.source))]
        return [*matched_pairs(self.source, self.sharp)]

    def view(self, source: PictureSource, place: int) -> NDArray[np.uint8]:
        """A picture as it is scored, uint8 [h, w, 3], RGB; bicubic and antialiased, as in training.

        Raises:
            UserError: if it cannot be read.
        """
        return np.asarray(source.read_resized(place, self.resize))

    def score(self, place: int, twin: int | None) -> PictureScore:
        """Scores one picture.

        Raises:
            UserError: if it or its twin cannot be read, or they differ in size.
        """
        picture = self.view(self.source, place)
        psnr = None
        if self.sharp is not None and twin is not None:
            sharp = self.view(self.sharp, twin)
            if sharp.shape != picture.shape:
                raise UserError(
                    f'{self.source.path(place)} and {self.sharp.path(twin)} differ in size; take the pair out'
                )
            psnr = float(calculate_psnr(picture, sharp, crop_border=0))
        return PictureScore(self.source.names[place], blur_score(picture), psnr)


def score_pictures(
    scored: ScoredSet, workers: int, skip_unreadable: bool = False
) -> tuple[list[PictureScore], dict[str, str]]:
    """Scores a set on several cores, with a progress bar.

    Args:
        scored: the set.
        workers: how many pictures are scored at once.
        skip_unreadable: whether pictures that cannot be scored are left out; else the first one ends the scoring.

    Returns:
        The scores, in the source's order, and for each picture left out its name and the reason.

    Raises:
        UserError: if a picture cannot be scored and is not to be left out, or none can be, or twins are missing.
    """
    pairs = scored.pairs()
    scores: list[PictureScore] = []
    unreadable: dict[str, str] = {}
    # Threads: Pillow, OpenCV, NumPy and SciPy let go of the interpreter's lock while they compute.
    executor = ThreadPoolExecutor(workers)
    try:
        futures = [executor.submit(scored.score, place, twin) for place, twin in pairs]
        for (place, _), future in zip(pairs, tqdm(futures, desc='Scoring', unit='picture'), strict=True):
            try:
                scores.append(future.result())
            except UserError as error:
                if not skip_unreadable:
                    raise
                unreadable[scored.source.names[place]] = str(error)
    finally:
        executor.shutdown(cancel_futures=True)
    if not scores:
        raise UserError(f'{scored.source.root}: none of {len(pairs)} pictures can be scored; look at the first by hand')
    return scores, unreadable


def write_scores(path: Path, scores: list[PictureScore], kept: list[bool]) -> None:
    """Writes one line of CSV a picture: ``picture``, ``blur``, ``psnr`` (may be empty) and ``kept`` (0 or 1)."""
    with path.open('w', newline='', encoding='utf-8', errors='surrogateescape') as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for score, is_kept in zip(scores, kept, strict=True):
            psnr = '' if score.psnr is None else f'{score.psnr:.6f}'
            writer.writerow((score.name, f'{score.blur:.8f}', psnr, int(is_kept)))


def read_scores(report: Path, scored: ScoredSet) -> tuple[list[PictureScore], dict[str, str]]:
    """The scores that an earlier run wrote, for the same pictures at the same size.

    Args:
        report: its folder.
        scored: the set that is scored now.

    Returns:
        As :func:`score_pictures`.

    Raises:
        UserError: if they are missing or damaged, or of other pictures, another size or another measure.
    """
    file = report / SCORES_FILE
    try:
        manifest = json.loads((report / MANIFEST).read_text(encoding='utf-8'))
        unreadable = {str(name): str(reason) for name, reason in manifest['unreadable'].items()}
        settings = {key: manifest['settings'][key] for key in scored.settings()}
        with file.open(newline='', encoding='utf-8', errors='surrogateescape') as opened:
            scores = [_score_of_row(row) for row in csv.DictReader(opened)]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as cause:
        raise UserError(
            f'--scores {report}: no report of b2b prepare select ({type(cause).__name__}: {cause}); score again without'
        ) from cause
    for key, now in scored.settings().items():
        if settings[key] != now:
            raise UserError(f'--scores {report}: its {key} is {settings[key]}, now {now}; score again without --scores')
    names = [name for place, _ in scored.pairs() if (name := scored.source.names[place]) not in unreadable]
    strangers = {score.name for score in scores} ^ set(names)
    if strangers or len(scores) != len(names):
        raise UserError(
            f'{file}: {len(strangers)} pictures are not both there and in {scored.source.root}'
            f'{f", the first is {min(strangers)}" if strangers else ""}; score again without --scores'
        )
    by_name = {score.name: score for score in scores}
    return [by_name[name] for name in names], unreadable


def _score_of_row(row: dict[str, str]) -> PictureScore:
    score = PictureScore(row['picture'], float(row['blur']), float(row['psnr']) if row['psnr'] else None)
    if not 0 <= score.blur <= 1 or (score.psnr is not None and math.isnan(score.psnr)):
        raise ValueError(f'{score.name}: {row["blur"]}, {row["psnr"]}')
    return score
