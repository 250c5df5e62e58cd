"""The candidates in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tqdm import tqdm

from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.errors import UserError
from b2b_basicsr.rank_known.candidate import Candidate
from b2b_basicsr.rank_known.deblurrers import Deblur
from b2b_basicsr.rank_known.expected import Expectation, Known, Target, beside_own, expectation
from b2b_basicsr.rank_known.measured_blur import MeasuredKnown, MeasuredTarget
from b2b_basicsr.rank_known.sample import sampled, tile_side

By = Literal['restored', 'gain']

DEBLURRED = 40
"""Pictures of each set at most that are put through a deblurrer, which takes a hundred times as long as a spectrum."""


@dataclass(frozen=True)
class Ranked:
    """A candidate in its place.

    Args:
        name: of the candidate.
        pairs: of it that were looked at.
        expected: of it.
    """

    name: str
    pairs: int
    expected: Expectation

    def row(self) -> dict[str, str | int | float]:
        """A line of the table; what is not whole is PSNR in dB. ``direct`` and ``gain`` are there with a deblurrer."""
        expected = self.expected
        row: dict[str, str | int | float] = {
            'known set': self.name,
            'pairs': self.pairs,
            'sharpen': expected.sharpen,
            'lost': expected.lost,
            'restored': expected.restored,
        }
        if expected.direct is not None and expected.gain is not None:
            row |= {'direct': expected.direct, 'gain': expected.gain}
        return row


@dataclass(frozen=True)
class Ranking:
    """The candidates, the best one first.

    Args:
        ranked: the candidates.
        target: what was measured of the target camera.
        known: and of each candidate.
        target_pictures: how many blurry and sharp pictures of the target camera were looked at.
    """

    ranked: list[Ranked]
    target: Target
    known: dict[str, Known]
    target_pictures: tuple[int, int]

    def rows(self) -> list[dict[str, str | int | float]]:
        """The table, ranks included."""
        return [{'rank': rank, **ranked.row()} for rank, ranked in enumerate(self.ranked, 1)]


def rank_known(
    blur: PictureSource,
    sharp: PictureSource,
    candidates: Sequence[Candidate],
    deblurrers: Mapping[str, Deblur],
    by: By = 'restored',
    pictures: int = 200,
    resize: int | None = None,
    seed: int = 0,
) -> Ranking:
    """Ranks known sets for a target camera, with a progress bar.

    Args:
        blur: B.
        sharp: S, of the same camera; of other scenes.
        candidates: the known sets.
        deblurrers: of each candidate, by its name; or none at all.
        by: what they are ordered by.
        pictures: of each set that are looked at, at most.
        resize: shorter side that B and S are resized to, as in training; ``None``: they stay as they are. Candidates
            always do.
        seed: of the choice of pictures.

    Raises:
        UserError: if a picture cannot be read or is too small, a candidate's twin is missing or of another size, or
            ``gain`` is asked for without deblurrers.
    """
    if by == 'gain' and not deblurrers:
        raise UserError('--by gain: what the deblurrers do without G is not known; give --deblurrer NAME=FILE for each')
    blur_places = sampled(range(len(blur)), pictures, seed)
    sharp_places = sampled(range(len(sharp)), pictures, seed)
    pairs = {candidate.name: sampled(candidate.pairs(), pictures, seed) for candidate in candidates}
    tile = tile_side(
        [
            (blur, blur_places, resize),
            (sharp, sharp_places, resize),
            *((candidate.blur, [place for place, _ in pairs[candidate.name]], None) for candidate in candidates),
        ]
    )
    few_blurry = sampled(blur_places, DEBLURRED, seed)
    steps = len(blur_places) + len(sharp_places) + sum(map(len, pairs.values()))
    steps += sum(len(few_blurry) + min(len(pairs[name]), DEBLURRED) for name in deblurrers)
    known: dict[str, Known] = {}
    ranked: list[Ranked] = []
    with tqdm(total=steps, desc='measuring blur', unit='picture') as bar:
        measured_target = MeasuredTarget(blur, sharp, resize, tile)
        target = measured_target.measure(blur_places, sharp_places, bar.update)
        for candidate in candidates:
            name = candidate.name
            measured = MeasuredKnown(candidate, pairs[name], tile)
            known[name] = measured.measure(bar.update)
            if name in deblurrers:
                lost, own = measured.deblurred(deblurrers[name], DEBLURRED, seed, bar.update)
                amplitude = measured_target.deblurred(few_blurry, deblurrers[name], bar.update)
                known[name] = Known(known[name].mtf, lost, beside_own(amplitude, own))
            ranked.append(Ranked(name, len(pairs[name]), expectation(target, known[name])))
    ranked.sort(key=lambda one: one.expected.gain or 0 if by == 'gain' else one.expected.restored, reverse=True)
    return Ranking(ranked, target, known, (len(blur_places), len(sharp_places)))


def ranking_json(ranking: Ranking, by: By, blur: str, sharp: str) -> dict[str, object]:
    """The ranking for programs: ``target``, ``by`` and ``ranking``, a list of the table's lines."""
    return {
        'target': {
            'blurry': blur,
            'sharp': sharp,
            'pictures': {'blurry': ranking.target_pictures[0], 'sharp': ranking.target_pictures[1]},
        },
        'by': by,
        'ranking': ranking.rows(),
    }
