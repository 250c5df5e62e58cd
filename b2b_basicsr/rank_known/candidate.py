"""Known sets as the command line names them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from b2b_basicsr.data.picture_source import PictureSource, matched_pairs
from b2b_basicsr.errors import UserError
from b2b_basicsr.printable import printable

_LAYOUTS = (('train/blur', 'train/sharp'), ('blur', 'sharp'), ('blurry', 'gt'))
"""Where pairs lie in a folder: those of ``b2b prepare gopro`` and its like, of ``b2b prepare select``, of ``b2b bench
gain``."""


@dataclass(frozen=True)
class Candidate:
    """A known set that might become C'.

    Args:
        name: in the table.
        blur: its blurry pictures.
        sharp: their sharp twins.
    """

    name: str
    blur: PictureSource
    sharp: PictureSource

    def pairs(self) -> list[tuple[int, int]]:
        """Places of each blurry picture and its twin.

        Raises:
            UserError: if a picture has no twin.
        """
        return matched_pairs(self.blur, self.sharp)


def pictures_of(argument: str, folder: str | Path) -> PictureSource:
    """The pictures of a folder, or of an LMDB if its name ends in ``.lmdb``.

    Args:
        argument: of the command line, for messages.
        folder: its path.

    Raises:
        UserError: if it is missing or holds no picture, or nothing is given.
    """
    if not str(folder):
        raise UserError(f'{argument}: no path is given (a variable that is not set?); give that of a folder')
    return PictureSource(argument, str(folder), {'type': 'lmdb' if Path(folder).suffix == '.lmdb' else 'disk'})


def candidate_of(text: str) -> Candidate:
    """Opens what the command line names.

    Args:
        text: ``[NAME=]FOLDER``, where FOLDER holds pairs in ``train/blur`` and ``train/sharp``, in ``blur`` and
            ``sharp`` or in ``blurry`` and ``gt`` (or LMDBs so named); or ``[NAME=]BLUR_FOLDER:SHARP_FOLDER``. Without a
            name it is that of the folder.

    Raises:
        UserError: if a folder is missing, holds no picture, or no pairs are found in it.
    """
    name, equals, place = text.partition('=')
    if not equals or '/' in name:
        name, place = '', text
    if not place or (equals and not name and place != text):
        raise UserError(f'CANDIDATE {text!r}: give [NAME=]FOLDER or [NAME=]BLUR_FOLDER:SHARP_FOLDER')
    argument = f'CANDIDATE {printable(name or place)}'
    blur, sharp, own = _folders_of(argument, place)
    return Candidate(name or own, pictures_of(f'{argument}, blurry', blur), pictures_of(f'{argument}, sharp', sharp))


def _folders_of(argument: str, place: str) -> tuple[str, str, str]:
    """The folders of blurry pictures and of their twins, and a name for both."""
    try:
        folder = Path(place).expanduser()
        is_folder = folder.is_dir()
        if ':' in place and not is_folder:
            blur, _, sharp = place.partition(':')
            own = Path(blur).name if Path(blur).name not in ('blur', 'blurry') else Path(blur).absolute().parent.name
            return blur, sharp, own
        for pair in _LAYOUTS:
            for end in ('', '.lmdb'):
                first, second = (folder / f'{part}{end}' for part in pair)
                if first.is_dir() and second.is_dir():
                    return str(first), str(second), folder.absolute().name
    except (OSError, RuntimeError) as cause:
        raise UserError(f'{argument}: {place!r} cannot be looked at ({cause}); give another path') from cause
    missing = '' if is_folder else f'no folder (looked in {Path.cwd()}), or '
    raise UserError(
        f'{argument}: {missing}no pairs in train/blur and train/sharp, blur and sharp, or blurry and gt; give '
        'NAME=BLUR_FOLDER:SHARP_FOLDER'
    )


def candidates_of(texts: tuple[str, ...]) -> list[Candidate]:
    """Opens all that the command line names.

    Raises:
        UserError: as :func:`candidate_of`, and if two have one name.
    """
    candidates = [candidate_of(text) for text in texts]
    names = [candidate.name for candidate in candidates]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f'CANDIDATE {name!r}: two have that name; give them others, as NAME=FOLDER')
    return candidates
