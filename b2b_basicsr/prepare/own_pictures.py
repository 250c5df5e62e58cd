"""Sets without ground truth: a user's own pictures and videos, and PhoneCraft."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.file_kinds import is_video
from b2b_basicsr.prepare.published_layouts import FoundPicture, Layout, Role
from b2b_basicsr.prepare.set_plan import SetPlan, plan_unpaired
from b2b_basicsr.prepare.source_files import Source, SourceFile


def own_layout(blurry: Sequence[Source], sharp: Sequence[Source]) -> Layout:
    """Scenes of one camera's pictures and videos, by where they lie.

    A video is a scene, a folder directly below a given one is a scene with all below it, and a picture directly in a
    given folder is a scene of its own.
    """
    roles: tuple[tuple[Role, Sequence[Source]], ...] = (('blur', blurry), ('sharp', sharp))
    found = [_own_picture(file, role) for role, sources in roles for source in sources for file in source.files]
    sources = {id(source): source for source in (*blurry, *sharp)}
    return Layout(found, sum(source.others for source in sources.values()))


def _own_picture(file: SourceFile, role: Role) -> FoundPicture:
    path = PurePosixPath(*file.parts)
    if is_video(path.name):
        return FoundPicture(file, 'train', role, path.with_suffix('').as_posix(), PurePosixPath(path.name))
    if len(path.parts) == 1:
        return FoundPicture(file, 'train', role, path.stem, PurePosixPath(path.name))
    return FoundPicture(file, 'train', role, path.parts[0], PurePosixPath(*path.parts[1:]))


def plan_own(layout: Layout, ratio: float, test_share: float) -> SetPlan:
    """Plan ``unpaired`` and ``test/blur``: the layout's own test pictures, else a share of the blurry scenes.

    Args:
        layout: of :func:`own_layout` or ``read_layout``.
        ratio: B's share of the scenes whose names stand on both sides: they are taken for the same scene.
        test_share: of B's scenes, in [0, 1).

    Raises:
        UserError: if there are no blurry or no sharp pictures, or too few scenes.
    """
    plan = SetPlan(notes=[*layout.notes])
    test = [item for item in layout.pictures if item.split == 'test']
    found = [item for item in layout.pictures if item.split != 'test']
    for role, name in (('blur', 'blurry'), ('sharp', 'sharp')):
        if not any(item.role == role for item in found):
            said = '; '.join([f'of {len(layout.pictures)} files found', *layout.notes])
            raise UserError(f'no {name} picture or video for the training in the sources ({said})')
    test_blurry = [item for item in test if item.role == 'blur']
    test_scenes = {item.scene for item in test_blurry}
    seen_in_test = {item.scene for item in found} & test_scenes
    if seen_in_test:
        plan.notes.append(
            f'{len(seen_in_test)} scene names of test stand in the training folders as well; if they are '
            'the same scenes, rename or remove them'
        )
    sides = {role: {(item.scene, item.file) for item in found if item.role == role} for role in ('blur', 'sharp')}
    common = {scene for scene, _ in sides['blur']} & {scene for scene, _ in sides['sharp']}
    same_files = sides['blur'] == sides['sharp']
    plan_unpaired(plan, found, ratio, 0.0 if test_blurry else test_share)
    if same_files:
        plan.notes.append(f'both sides are the same: of {len(common)} scenes each is used on one side')
    elif common:
        plan.notes.append(
            f'scene names on both sides, used on one only: {len(common)}; rename the files if they are different scenes'
        )
    if test_blurry:
        plan.add('test/blur', test_blurry)
    if layout.left_out:
        plan.notes.append(f'{layout.left_out} files of other kinds left out')
    return plan
