"""Weakly blurred pictures taken out of B, or unsharp ones out of S: scores, report and the kept pictures."""

from __future__ import annotations

import io
import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS

from b2b_basicsr import __version__
from b2b_basicsr.data.lmdb_clients import read_lmdb
from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.errors import UserError
from b2b_basicsr.picture_content import open_header
from b2b_basicsr.prepare.blur_histogram import draw_histogram
from b2b_basicsr.prepare.link_or_copy import link_or_copy
from b2b_basicsr.prepare.prepared_set import check_target
from b2b_basicsr.prepare.select_rule import KeepRule
from b2b_basicsr.prepare.select_scores import (
    SCORES_FILE,
    PictureScore,
    ScoredSet,
    read_scores,
    score_pictures,
    write_scores,
)
from b2b_basicsr.prepare.untrusted_members import safe_key_parts
from b2b_basicsr.prepare.whole_or_nothing import MANIFEST, whole_or_nothing

HISTOGRAM_FILE = 'histogram.png'

# Pillow tells these from JPEG by what else the file holds; phones write them as .jpg
_KINDS_OF_JPEG = ('MPO',)


@dataclass(frozen=True)
class SelectSettings:
    """How pictures are scored and written.

    Args:
        resize: shorter side in pixels that they are scored at; ``None``: their own size.
        workers: how many are scored at once.
        skip_unreadable: whether unreadable ones are left out, instead of ending the run.
        scores: folder of an earlier report, whose scores are taken.
        write_kept: whether the kept pictures are written, or the report alone.
        force: whether an earlier result is replaced.
    """

    resize: int | None = 512
    workers: int = 1
    skip_unreadable: bool = False
    scores: Path | None = None
    write_kept: bool = True
    force: bool = False


@dataclass
class Selection:
    """What was scored and kept.

    Args:
        scores: of all readable pictures.
        kept: whether each is kept.
        border: the last value that the rule keeps.
        folders: of the kept pictures; empty for a report alone.
        unreadable: the pictures left out as unreadable, and why.
        copied: how many files were copied, as hard links were refused.
    """

    scores: list[PictureScore]
    kept: list[bool]
    border: float | None
    folders: list[Path] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    copied: int = 0


def open_pictures(argument: str, folder: Path) -> PictureSource:
    """A folder, or an LMDB if its name ends in ``.lmdb``.

    Args:
        argument: the command's argument, for messages.
        folder: the path.

    Raises:
        UserError: if it is missing or holds no picture.
    """
    return PictureSource(argument, str(folder), {'type': 'lmdb' if folder.suffix == '.lmdb' else 'disk'})


def select_pictures(
    folder: Path, sharp_folder: Path | None, out: Path, rule: KeepRule, settings: SelectSettings
) -> Selection:
    """Scores a set and writes ``out`` whole or not at all.

    ``out`` gets ``scores.csv``, ``histogram.png`` and ``prepared.json``, and the kept pictures by their relative paths
    below ``blur/`` or ``sharp/`` (what is kept), of pairs below both: hard links, or copies where these are refused.
    The pictures of an LMDB become files, their bytes unchanged.

    Args:
        folder: the pictures; a folder of any depth, or an LMDB.
        sharp_folder: their sharp twins, by relative path; ``None``: none are known.
        out: folder of the result; must not lie in what is read.
        rule: what is kept.
        settings: how.

    Raises:
        UserError: if a set is missing, a picture cannot be read, nothing is kept, or ``out`` cannot be written or is
            there.
    """
    check_target(out, [path for path in (folder, sharp_folder) if path], settings.force)
    if rule.measure == 'psnr' and sharp_folder is None:
        raise UserError('--by psnr: needs the sharp twins; give --sharp FOLDER')
    source = open_pictures('FOLDER', folder)
    sharp = open_pictures('--sharp', sharp_folder) if sharp_folder else None
    scored = ScoredSet(source, sharp, settings.resize)
    if settings.scores:
        scores, unreadable = read_scores(settings.scores, scored)
    else:
        scores, unreadable = score_pictures(scored, settings.workers, settings.skip_unreadable)
    kept = rule.kept(scores)
    if not any(kept):
        values = [rule.value(score) for score in scores]
        raise UserError(
            f'{folder}: none of {len(scores)} pictures has {rule}; they go from {min(values):.4g} to {max(values):.4g}'
        )
    selection = Selection(scores, kept, rule.border(scores), unreadable=unreadable)
    with whole_or_nothing(out, settings.force) as partial:
        names = {score.name for score, is_kept in zip(scores, kept, strict=True) if is_kept}
        if settings.write_kept:
            places = [(place, twin) for place, twin in scored.pairs() if source.names[place] in names]
            own = 'blur' if sharp or rule.side == 'blurred' else 'sharp'
            selection.copied += _write(source, [place for place, _ in places], partial / own)
            selection.folders.append(out / own)
            if sharp:
                selection.copied += _write(sharp, [twin for _, twin in places if twin is not None], partial / 'sharp')
                selection.folders.append(out / 'sharp')
        write_scores(partial / SCORES_FILE, scores, kept)
        place_of = {name: place for place, name in enumerate(source.names)}
        draw_histogram(
            partial / HISTOGRAM_FILE,
            scores,
            rule,
            lambda score: scored.view(source, place_of[score.name]),
            f'{folder}: {len(names)} of {len(scores)} kept ({rule})',
        )
        recorded = _manifest(scored, rule, settings, selection)
        (partial / MANIFEST).write_text(json.dumps(recorded, indent=1) + '\n', encoding='ascii')
    return selection


def _write(source: PictureSource, places: Sequence[int], folder: Path) -> int:
    """Puts pictures below ``folder``; tells how many files had to be copied."""
    copied = 0
    for place in places:
        name = source.names[place]
        target = folder / name
        if source.root.suffix == '.lmdb':
            content = read_lmdb(str(source.root), {}, name) or b''
            _write_bytes(folder, name, content)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        original = Path(os.path.realpath(source.path(place)))  # a link to a symbolic link would break with it
        copied += link_or_copy(original, target)
    return copied


def _write_bytes(folder: Path, key: str, content: bytes) -> None:
    *folders, name = safe_key_parts(key)
    target = folder.joinpath(*folders, f'{name}{_extension(key, content)}')
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open('xb') as file:
        file.write(content)


def _extension(key: str, content: bytes) -> str:
    with open_header(io.BytesIO(content)) as picture:
        kind = 'JPEG' if picture.format in _KINDS_OF_JPEG else picture.format
    # JPEG comes as .jfif first, which no picture set lists
    for end in IMG_EXTENSIONS:
        if Image.registered_extensions().get(end) == kind:
            return end
    raise UserError(f'LMDB key {key!r}: holds a {kind} picture, which data sets do not list; store it as PNG')


def _manifest(scored: ScoredSet, rule: KeepRule, settings: SelectSettings, selection: Selection) -> dict[str, object]:
    return {
        'set': 'select',
        'settings': {
            **scored.settings(),
            'keep': rule.side,
            'by': rule.measure,
            'keep_share': rule.share,
            'threshold': rule.threshold,
            'max_per_scene': rule.per_scene,
            'scores_of': str(settings.scores) if settings.scores else None,
        },
        'border': selection.border
        if selection.border is None or abs(selection.border) < 1e9
        else str(selection.border),
        'counts': {
            'scored': len(selection.scores),
            'kept': sum(selection.kept),
            'unreadable': len(selection.unreadable),
            'pictures_written': settings.write_kept,
        },
        'unreadable': selection.unreadable,
        'versions': {
            'b2b_basicsr': __version__,
            'python': platform.python_version(),
            **{name: version(name) for name in ('scikit-image', 'numpy', 'pillow')},
        },
    }


def quantile_table(scores: Sequence[PictureScore]) -> str:
    """Lines with the least, the 5, 25, 50, 75 and 95 % quantiles and the greatest score of each measure."""
    measures: list[tuple[str, Callable[[PictureScore], float]]] = [('blur', lambda score: score.blur)]
    if scores[0].psnr is not None:
        measures.append(('psnr', lambda score: float(score.psnr or 0)))
    lines = [f'{"":5}' + ''.join(f'{head:>9}' for head in ('least', '5%', '25%', '50%', '75%', '95%', 'most'))]
    for name, pick in measures:
        ordered = sorted(map(pick, scores))
        # of values, not between them: PSNR may be infinite
        values = [ordered[round(share * (len(ordered) - 1))] for share in (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)]
        lines.append(f'{name:5}' + ''.join(f'{value:9.3f}' for value in values))
    return '\n'.join(lines)
