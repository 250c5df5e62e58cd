"""Which pictures of a scored set are kept."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.select_scores import PictureScore

Side = Literal['blurred', 'sharp']
Measure = Literal['blur', 'psnr']


@dataclass(frozen=True)
class KeepRule:
    """Keeps the most blurred, or the sharpest, pictures.

    Args:
        side: which end is kept.
        measure: what tells: the blur score, or PSNR against the sharp twin (low: strongly blurred).
        share: keep this share of the pictures, in (0, 1], rounded down, one at least.
        threshold: keep those at least this blurred, or sharp (a score equal to it is kept).
        per_scene: then keep of each scene (folder) this many at most; pictures in no folder are scenes of their own.

    Raises:
        UserError: if share and threshold are given both, or one is out of range.
    """

    side: Side = 'blurred'
    measure: Measure = 'blur'
    share: float | None = None
    threshold: float | None = None
    per_scene: int | None = None

    def __post_init__(self) -> None:
        if self.share is not None and self.threshold is not None:
            raise UserError('--keep-share and --threshold: give one of the two')
        if self.share is not None and not 0 < self.share <= 1:
            raise UserError(f'--keep-share {self.share:g}: give a share above 0, 1 at most')
        top = 1.0 if self.measure == 'blur' else 200.0
        if self.threshold is not None and not 0 <= self.threshold <= top:
            raise UserError(f'--threshold {self.threshold:g}: {self.measure} goes from 0 to {top:g}; give one of these')

    @property
    def is_given(self) -> bool:
        """Whether anything may be dropped."""
        return any(part is not None for part in (self.share, self.threshold, self.per_scene))

    def value(self, score: PictureScore) -> float:
        """The score that the rule looks at."""
        if self.measure == 'blur':
            return score.blur
        if score.psnr is None:
            raise UserError('--by psnr: needs the sharp twins; give --sharp FOLDER')
        return score.psnr

    def strength(self, score: PictureScore) -> float:
        """Higher for what is rather kept."""
        value = self.value(score)
        return value if (self.measure == 'blur') == (self.side == 'blurred') else -value

    def border(self, scores: Sequence[PictureScore]) -> float | None:
        """The last value that share or threshold keep; ``None`` if there is neither."""
        if self.share is None:
            return self.threshold
        # 0.29 * 100 is 28.999...96 in binary
        count = max(math.floor(round(self.share * len(scores), 9)), 1)
        return self.value(self._strongest_first(scores)[count - 1])

    def kept(self, scores: Sequence[PictureScore]) -> list[bool]:
        """Whether each picture is kept."""
        ranked = self._strongest_first(scores)
        if self.share is not None:
            ranked = ranked[: max(math.floor(round(self.share * len(scores), 9)), 1)]
        elif self.threshold is not None:
            least = self.strength(PictureScore('', self.threshold, self.threshold))
            ranked = [score for score in ranked if self.strength(score) >= least]
        if self.per_scene is not None:
            scenes: dict[str, list[PictureScore]] = defaultdict(list)
            for score in ranked:
                folder = PurePosixPath(score.name).parent.as_posix()
                scenes[score.name if folder == '.' else f'{folder}/'].append(score)
            ranked = [score for scene in scenes.values() for score in scene[: self.per_scene]]
        names = {score.name for score in ranked}
        return [score.name in names for score in scores]

    def _strongest_first(self, scores: Sequence[PictureScore]) -> list[PictureScore]:
        return sorted(scores, key=lambda score: (-self.strength(score), score.name))

    def __str__(self) -> str:
        parts = []
        if self.share is not None:
            parts.append(f'the {self.share:.4g} most {self.side} by {self.measure}')
        if self.threshold is not None:
            sign = '>=' if (self.measure == 'blur') == (self.side == 'blurred') else '<='
            parts.append(f'{self.measure} {sign} {self.threshold:g}')
        if self.per_scene is not None:
            parts.append(f'the {self.per_scene} most {self.side} of each scene at most')
        return ', '.join(parts) or 'all'
