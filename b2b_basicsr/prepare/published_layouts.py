"""The layouts in which data sets are published, and how pictures are found in them.

Not one precise layout is asked for: a picture's role (blurry or sharp) and split (train, val or test) are words that
name a folder anywhere on its path, or else stand in the archive's name; what is left of the path is its scene.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from b2b_basicsr.errors import UserError

if TYPE_CHECKING:  # the command line lists the sets without waiting for torch
    from b2b_basicsr.prepare.source_files import SourceFile

Role = Literal['blur', 'sharp']

_ROLE_WORDS: Mapping[str, Role] = {
    'blur': 'blur',
    'blurry': 'blur',
    'real_blur': 'blur',
    'sharp': 'sharp',
    'gt': 'sharp',
    'gt_sharp': 'sharp',
}
_SPLIT_WORDS = {'train': 'train', 'training': 'train', 'val': 'val', 'validation': 'val', 'test': 'test'}
_ROLE_FOLDER = re.compile(rf'(?:({"|".join(_SPLIT_WORDS)})[_-])?({"|".join(_ROLE_WORDS)})', re.IGNORECASE)
# RSBlur has, beside the real blurry picture, one averaged from frames in the same folder
_OTHER_KINDS = {'avg_blur'}
_WORD = re.compile(r'[A-Za-z]+')


@dataclass(frozen=True)
class Count:
    """What one split has as published.

    Args:
        pairs: of blurry and sharp pictures.
        scenes: their number; ``None`` if we do not know it for sure.
        scene_names: of all scenes, where they are numbered; else ``None``.
    """

    pairs: int
    scenes: int | None = None
    scene_names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class PublishedSet:
    """A published data set.

    Args:
        command: of ``b2b prepare``.
        name: as its authors write it, and the folder below ``datasets``.
        about: one line on it.
        test_split: the published split with ground truth that ours tests on.
        size: width and height of every picture in pixels; ``None`` if they differ or we do not know.
        counts: by split; only what we are sure of.
    """

    command: str
    name: str
    about: str
    test_split: str = 'test'
    size: tuple[int, int] | None = None
    counts: Mapping[str, Count] = field(default_factory=dict)


def _numbered(scenes: int) -> tuple[str, ...]:
    return tuple(f'{scene:03}' for scene in range(scenes))


GOPRO = PublishedSet(
    command='gopro',
    name='GoPro',
    about='GOPRO_Large (Nah et al., CVPR 2017): averaged high-speed frames; the usual known blur.',
    size=(1280, 720),
    counts={'train': Count(2103, 22), 'test': Count(1111, 11)},
)
REDS = PublishedSet(
    command='reds',
    name='REDS',
    about='REDS (Nah et al., NTIRE 2019): train_blur, train_sharp, val_blur and val_sharp; val is our test.',
    test_split='val',
    size=(1280, 720),
    counts={'train': Count(24000, 240, _numbered(240)), 'val': Count(3000, 30, _numbered(30))},
)
RB2V = PublishedSet(
    command='rb2v',
    name='RB2V',
    about='RB2V (HyperCUT, Pham et al., CVPR 2023): real blur, street and face.',
)
RSBLUR = PublishedSet(
    command='rsblur',
    name='RSBlur',
    about='RSBlur (Rim et al., ECCV 2022): real blur from a beam splitter.',
    counts={'train': Count(8878), 'test': Count(3360)},
)
PHONECRAFT = PublishedSet(
    command='phonecraft',
    name='PhoneCraft',
    about='PhoneCraft (Blur2Blur, Pham et al., CVPR 2024): blurry and sharp phone videos, no ground truth.',
)


@dataclass(frozen=True)
class FoundPicture:
    """A picture or video whose part in a data set is known.

    Args:
        file: in its source.
        split: ``train``, ``val`` or ``test``.
        role: ``blur`` or ``sharp``.
        scene: what its frames have in common; may hold slashes.
        frame: path of the picture below its scene.
    """

    file: SourceFile
    split: str
    role: Role
    scene: str
    frame: PurePosixPath

    @property
    def twin_key(self) -> tuple[str, str]:
        """What a picture and its twin share: the path without extension."""
        return self.scene, self.frame.with_suffix('').as_posix()


@dataclass(frozen=True)
class Layout:
    """What was found.

    Args:
        pictures: whose part is known.
        left_out: number of pictures of other kinds (``blur_gamma``, say).
        notes: what the user should know.
    """

    pictures: Sequence[FoundPicture]
    left_out: int
    notes: tuple[str, ...] = ()


@dataclass
class _Reading:
    """One picture's path, word by word."""

    file: SourceFile
    role: Role | None = None
    split: str | None = None
    rest: list[str] = field(default_factory=list)
    name: str = ''


def read_layout(
    files: Sequence[SourceFile], *, lists: Mapping[str, frozenset[str]] | None = None, loose: bool = False
) -> Layout:
    """Find each picture's split, role and scene.

    Args:
        files: of all sources.
        lists: by split, the pictures' paths as the authors' list files name them; then nothing else is used.
        loose: whether a role word may be part of a folder's name (``blurry_videos``). ``blur_gamma`` is blurry then.

    Raises:
        UserError: if no picture has a role.
    """
    readings = []
    for file in files:
        reading = _read_path(file, loose)
        if lists:
            reading.split = _listed_split(file, lists)
        readings.append(reading)
    with_role = [reading for reading in readings if reading.role]
    if not with_role:
        seen = ', '.join('/'.join(file.parts) for file in files[:3]) or 'no picture at all'
        raise UserError(
            f'{", ".join(sorted({str(file.source) for file in files})) or "the sources"}: no folder named '
            f'{", ".join(_ROLE_WORDS)} (train_blur and so on), so nothing can be told apart; seen: {seen}'
        )
    if not any(reading.split for reading in with_role):
        for reading in with_role:
            reading.split = 'train'
    used = [reading for reading in with_role if reading.split]
    notes: tuple[str, ...] = ()
    if not lists and len(used) < len(with_role):
        lost = next(reading for reading in with_role if not reading.split)
        notes = (
            f'{len(with_role) - len(used)} blurry or sharp pictures lie in no folder named train, val or test, so they '
            f'are left out, as others do ({used[0].file}); the first is {lost.file}',
        )
    return Layout(_with_scenes(used, paired=not loose), len(files) - len(used), notes)


def _read_path(file: SourceFile, loose: bool) -> _Reading:
    *folders, name = file.parts
    stem = PurePosixPath(name).stem.lower()
    reading = _Reading(file, name=name)
    if stem in _OTHER_KINDS:
        return reading
    if stem in _ROLE_WORDS and folders:  # SCENE/FRAME/[blur/]real_blur.png
        reading.role = _ROLE_WORDS[stem]
        reading.rest = [folder for folder in folders if _role_and_split(folder, loose) == (None, None)]
        if reading.rest:
            reading.name = reading.rest.pop() + PurePosixPath(name).suffix
    for folder in folders:
        role, split = _role_and_split(folder, loose)
        told = reading.split is not None
        reading.split = reading.split or split
        if role and stem not in _ROLE_WORDS:
            reading.role = role
        is_scene = not role and (not split or (told and reading.role))
        if stem not in _ROLE_WORDS and is_scene:
            reading.rest.append(folder)
    if not reading.role or not reading.split:
        role, split = _role_and_split(file.source.name.split('.')[0], loose=True)
        reading.split = reading.split or split
        if not reading.role and not _names_another_kind(folders):
            reading.role = role
    return reading


def _names_another_kind(folders: Sequence[str]) -> bool:
    """Whether a folder like ``blur_gamma`` or ``train_sharp_bicubic`` says that its pictures are of no use to us."""
    return any({word.lower() for word in _WORD.findall(folder)} & {'blur', 'sharp'} for folder in folders)


def _role_and_split(folder: str, loose: bool) -> tuple[Role | None, str | None]:
    if folder.lower() in _SPLIT_WORDS:
        return None, _SPLIT_WORDS[folder.lower()]
    match = _ROLE_FOLDER.fullmatch(folder)
    if match:
        split, role = match.groups()
        return _ROLE_WORDS[role.lower()], _SPLIT_WORDS[split.lower()] if split else None
    if not loose:
        return None, None
    words = [word.lower() for word in _WORD.findall(folder)]
    roles = {_ROLE_WORDS[word] for word in words if word in _ROLE_WORDS}
    splits = {_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS}
    return (roles.pop() if len(roles) == 1 else None), (splits.pop() if len(splits) == 1 else None)


def _listed_split(file: SourceFile, lists: Mapping[str, frozenset[str]]) -> str | None:
    tails = {'/'.join(file.parts[start:]) for start in range(len(file.parts))}
    tails.add('/'.join((file.source.name, *file.parts)))
    return next((split for split, names in lists.items() if tails & names), None)


def _with_scenes(readings: Sequence[_Reading], paired: bool) -> list[FoundPicture]:
    """Scenes are what is left of the paths, less the folders above all scenes of the same split and role."""
    from b2b_basicsr.prepare.file_kinds import is_video

    splits: dict[str, dict[Role, list[_Reading]]] = defaultdict(lambda: defaultdict(list))
    for reading in readings:
        if not reading.split or not reading.role:
            continue
        if is_video(reading.name):  # is a scene itself, and its frames lie in it
            reading.rest.append(PurePosixPath(reading.name).stem)
        splits[reading.split][reading.role].append(reading)
    found: list[FoundPicture] = []
    for split, groups in splits.items():
        shared = {role: _shared_depth([reading.rest for reading in group]) for role, group in groups.items()}
        choices = [{role: _below(group, split, role, shared[role]) for role, group in groups.items()}]
        if paired and len(set(shared.values())) > 1:
            # One role may have folders that the other lacks: of RB2V's parts, say. Then its scenes keep more of them
            least = min(shared.values())
            choices.append({role: _below(group, split, role, least) for role, group in groups.items()})
        for pictures in max(choices, key=_count_twins).values():
            found += pictures
    return found


def _below(readings: Sequence[_Reading], split: str, role: Role, depth: int) -> list[FoundPicture]:
    return [
        FoundPicture(reading.file, split, role, '/'.join(reading.rest[depth:]), PurePosixPath(reading.name))
        for reading in readings
    ]


def _count_twins(by_role: Mapping[Role, Sequence[FoundPicture]]) -> int:
    sides = [{picture.twin_key for picture in pictures} for pictures in by_role.values()]
    return len(set.intersection(*sides))


def _shared_depth(paths: Sequence[Sequence[str]]) -> int:
    """How many folders all paths begin with, less one where a path would have none left."""
    shortest = min(len(path) for path in paths)
    levels = zip(*paths, strict=False)
    differing = (depth for depth, names in enumerate(levels) if len(set(names)) > 1)
    return max(min(next(differing, shortest), shortest - 1), 0)


def read_list(path: str) -> frozenset[str]:
    """The picture paths named in a data set's list file: every word with a picture's extension.

    Raises:
        UserError: if the file cannot be read or names no picture.
    """
    from b2b_basicsr.prepare.file_kinds import is_picture

    try:
        with open(path, encoding='utf-8') as file:
            words = file.read().replace(',', ' ').split()
    except (OSError, UnicodeDecodeError) as cause:
        raise UserError(f'--list {path}: cannot be read ({cause}); give a text file that names pictures') from cause
    names = frozenset('/'.join(part for part in word.split('/') if part not in ('', '.')) for word in words)
    names = frozenset(name for name in names if is_picture(name))
    if not names:
        raise UserError(f'--list {path}: names no picture; each is a path with its extension')
    return names
