"""Which file goes where in a prepared set."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.file_kinds import is_video
from b2b_basicsr.prepare.published_layouts import FoundPicture, Layout, PublishedSet
from b2b_basicsr.prepare.scene_split import split_scenes
from b2b_basicsr.prepare.source_files import SourceFile

BLURRY_UNPAIRED = 'unpaired/blur'
SHARP_UNPAIRED = 'unpaired/sharp'


@dataclass
class SetPlan:
    """Where every file of a prepared set comes from.

    Args:
        pictures: path in the set -> its file.
        videos: folder in the set, for a video's frames -> the video.
        scenes: folder like ``unpaired/blur`` -> names of its scenes.
        notes: what the user should know.
    """

    pictures: dict[PurePosixPath, SourceFile] = field(default_factory=dict)
    videos: dict[PurePosixPath, SourceFile] = field(default_factory=dict)
    scenes: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, part: str, found: Iterable[FoundPicture]) -> None:
        """Put pictures and videos into a part such as ``unpaired/blur``.

        Raises:
            UserError: if two files would have the same path without extension, or a file would lie among the frames
                of a video.
        """
        stems = {path.with_suffix('') for path in (*self.pictures, *self.videos) if path.is_relative_to(part)}
        scenes = set(self.scenes.get(part, []))
        for item in found:
            scenes.add(item.scene)
            video = is_video(item.frame.name)
            target = PurePosixPath(part, item.scene) / ('' if video else item.frame)
            stem = target if video else target.with_suffix('')
            if stem in stems:
                raise UserError(
                    f'{item.file}: another file of the sources also is {stem}; rename one, or leave one source out'
                )
            stems.add(stem)
            (self.videos if video else self.pictures)[target] = item.file
        self._keep_out_of_videos(part)
        self.scenes[part] = sorted(scenes)

    def _keep_out_of_videos(self, part: str) -> None:
        # A frame of the video's could have the other file's name
        videos = {folder for folder in self.videos if folder.is_relative_to(part)}
        for target, file in (*self.pictures.items(), *self.videos.items()) if videos else ():
            for folder in videos.intersection(target.parents):
                raise UserError(
                    f'{file}: would lie in {folder}, among the frames of {self.videos[folder]}; rename one, or leave '
                    'one out'
                )


def scenes_by_pattern(layout: Layout, pattern: str) -> Layout:
    """The layout with scenes named by what a regular expression's first group finds in a picture's path.

    Raises:
        UserError: if it is no regular expression with a group, or is not found in some path.
    """
    try:
        expression = re.compile(pattern)
    except re.error as cause:
        raise UserError(f'--scene-pattern {pattern!r}: no regular expression ({cause})') from cause
    if expression.groups != 1:
        raise UserError(
            f'--scene-pattern {pattern!r}: has {expression.groups} groups; put one around what names the scene'
        )
    named = []
    for picture in layout.pictures:
        path = '/'.join(picture.file.parts)
        match = expression.search(path)
        scene = '/'.join(part for part in (match.group(1) or '').split('/') if part.strip('.')) if match else ''
        if not scene:
            raise UserError(f'--scene-pattern {pattern!r}: finds no scene in {path}')
        named.append(replace(picture, scene=scene))
    return replace(layout, pictures=named)


def plan_unpaired(plan: SetPlan, found: Sequence[FoundPicture], ratio: float, test_share: float = 0.0) -> None:
    """Plan B and S with disjoint scenes, and the last floor(test_share * n) of B's n scenes as ``test/blur``.

    Args:
        plan: is added to.
        found: blurry and sharp pictures and videos.
        ratio: B's share of the scenes that stand on both sides.
        test_share: in [0, 1).

    Raises:
        UserError: if a side is left without a scene.
    """
    blurry = {item.scene for item in found if item.role == 'blur'}
    sharp = {item.scene for item in found if item.role == 'sharp'}
    first, second = split_scenes(blurry, sharp, ratio)
    held_out = math.floor(round(test_share * len(first), 9))
    unpaired, test = set(first[: len(first) - held_out]), set(first[len(first) - held_out :])
    plan.add(BLURRY_UNPAIRED, (item for item in found if item.role == 'blur' and item.scene in unpaired))
    plan.add(SHARP_UNPAIRED, (item for item in found if item.role == 'sharp' and item.scene in second))
    if test_share > 0 and not test:
        plan.notes.append(
            f'no test/blur: {test_share:g} of {len(first)} blurry scenes is less than one; a higher --test-share sets '
            'some apart'
        )
    if test:
        plan.add('test/blur', (item for item in found if item.role == 'blur' and item.scene in test))


def plan_published(
    published: PublishedSet, layout: Layout, parts: Collection[str], ratio: float, incomplete: bool
) -> SetPlan:
    """Plan a published set of pairs: ``unpaired``, ``train`` and ``test``, or some of them.

    Args:
        published: what it should hold.
        layout: what was found.
        parts: of ``unpaired``, ``train`` and ``test``.
        ratio: B's share of the training scenes.
        incomplete: whether to go on, with a note, where something is missing.

    Raises:
        UserError: if pairs, scenes or a whole part are missing.
    """
    plan = SetPlan()
    problems: list[str] = []
    by_split: dict[str, list[FoundPicture]] = defaultdict(list)
    for item in layout.pictures:
        if not is_video(item.frame.name):
            by_split[item.split].append(item)
    wanted = {'unpaired': 'train', 'train': 'train', 'test': published.test_split}
    if published.test_split not in by_split and 'test' in by_split:
        wanted['test'] = 'test'
    pairs: dict[str, list[FoundPicture]] = {}
    for split in dict.fromkeys(wanted[part] for part in parts):
        pairs[split], found_problems = _pairs(published, split, by_split[split])
        problems += found_problems
    if problems and not incomplete:
        said = '; '.join([*problems, *layout.notes])
        raise UserError(f'{published.name}: {said}; complete the sources, or go on with --incomplete')
    plan.notes += layout.notes
    plan.notes += [f'{published.name} is incomplete: {problem}' for problem in problems]
    unused = sum(len(found) for split, found in by_split.items() if split not in pairs)
    if layout.left_out or unused:
        plan.notes.append(f'{layout.left_out} files of other kinds and {unused} pictures of other splits left out')
    shared = {item.scene for item in pairs.get('train', [])} & {item.scene for item in pairs.get(wanted['test'], [])}
    if shared and wanted['test'] != 'train':
        plan.notes.append(
            f'{len(shared)} scenes are in train and in {wanted["test"]}, the first is {min(shared)}: as published, or '
            'as --list says'
        )
    for part in parts:
        items = pairs[wanted[part]]
        if not items:
            continue
        if part == 'unpaired':
            plan_unpaired(plan, items, ratio)
        else:
            for role in ('blur', 'sharp'):
                plan.add(f'{part}/{role}', (item for item in items if item.role == role))
    if not plan.pictures:
        raise UserError(f'{published.name}: no pair for {", ".join(parts)} in the sources; nothing to prepare')
    return plan


def _pairs(published: PublishedSet, split: str, found: Sequence[FoundPicture]) -> tuple[list[FoundPicture], list[str]]:
    """The pictures that have twins, and what is missing."""
    blurry = {item.twin_key for item in found if item.role == 'blur'}
    sharp = {item.twin_key for item in found if item.role == 'sharp'}
    pairs = blurry & sharp
    problems = []
    for lonely, other in ((blurry - sharp, 'sharp'), (sharp - blurry, 'blurry')):
        if lonely:
            problems.append(
                f'{split}: {len(lonely)} pictures have no {other} twin, the first is {"/".join(sorted(lonely)[0])}'
            )
    if not pairs:
        problems.append(f'{split}: no pairs at all')
    expected = published.counts.get(split)
    if expected and pairs:
        scenes = {scene for scene, _ in pairs}
        if expected.scene_names and (missing := sorted(set(expected.scene_names) - scenes)):
            more = ', ...' if len(missing) > 5 else ''
            problems.append(f'{split}: scenes {", ".join(missing[:5])}{more} are missing ({len(missing)} in all)')
        elif expected.scenes and len(scenes) != expected.scenes:
            problems.append(f'{split}: {len(scenes)} scenes instead of {expected.scenes}')
        if len(pairs) != expected.pairs:
            problems.append(f'{split}: {len(pairs)} pairs instead of {expected.pairs}')
    return [item for item in found if item.twin_key in pairs], problems
