"""``b2b prepare gopro|reds|rb2v|rsblur|phonecraft|folder``: from archives and folders to prepared sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from b2b_basicsr.prepare.published_layouts import (
    GOPRO,
    PHONECRAFT,
    RB2V,
    REDS,
    RSBLUR,
    Layout,
    PublishedSet,
    read_layout,
    read_list,
)

if TYPE_CHECKING:  # the command line answers --help without waiting for torch
    from b2b_basicsr.prepare.source_files import Source

PARTS = ('unpaired', 'train', 'test')
_SPLITS = ('train', 'val', 'test')
_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class _Parts(click.ParamType):
    name = 'parts'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        given = value if isinstance(value, tuple) else tuple(part.strip() for part in str(value).split(','))
        unknown = [part for part in given if part not in PARTS]
        if unknown:
            self.fail(f'{unknown[0]!r} is none of {", ".join(PARTS)}', param, ctx)
        return tuple(part for part in PARTS if part in given)


class _SplitList(click.ParamType):
    name = 'split=file'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        split, sign, file = str(value).partition('=')
        if split not in _SPLITS or not sign or not file:
            self.fail(f'{value!r}: write {"|".join(_SPLITS)}=FILE', param, ctx)
        return split, file


def _stack(*decorators: _Decorator) -> _Decorator:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def _out(name: str) -> _Decorator:
    return click.option(
        '-o',
        '--out',
        type=click.Path(file_okay=False, path_type=Path),
        default=Path('datasets') / name,
        show_default=True,
        help='Folder of the set.',
    )


_SOURCES = click.argument(
    'sources', nargs=-1, required=True, metavar='SOURCE...', type=click.Path(exists=True, path_type=Path)
)
_RATIO = click.option(
    '--ratio',
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.6,
    show_default=True,
    help="B's share of the scenes that have blurry and sharp pictures; S gets the others.",
)
_WRITING = _stack(
    click.option('--lmdb', 'as_lmdb', is_flag=True, help="BasicSR's LMDB layout instead of folders."),
    click.option(
        '--max-gb',
        type=click.FloatRange(0, min_open=True),
        default=200,
        show_default=True,
        help='Archives that claim to hold more than this, unpacked, are refused.',
    ),
    click.option('--force', is_flag=True, help='Replace a set that b2b prepare made, once the new one is whole.'),
)
_SCENE_PATTERN = click.option(
    '--scene-pattern',
    metavar='REGEX',
    help='Where folders do not tell scenes apart: found in the path of each file, its one group names the scene.',
)
_INCOMPLETE = click.option(
    '--incomplete', is_flag=True, help='Go on where scenes, pairs or sizes are not as published.'
)
_FRAMES = _stack(
    click.option(
        '--fps',
        type=click.FloatRange(0),
        default=2,
        show_default=True,
        help='Frames a second taken from videos; 0: every frame.',
    ),
    click.option(
        '--test-share',
        type=click.FloatRange(0, 1, max_open=True),
        default=0.1,
        show_default=True,
        help="Of B's scenes, rounded down, the last ones: for test/blur instead of unpaired/blur.",
    ),
)


def _published_command(published: PublishedSet) -> click.Command:
    @click.command(published.command, help=f'{published.about}\n\nSOURCE: archives as published, or folders unpacked.')
    @_SOURCES
    @_out(published.name)
    @click.option(
        '--parts',
        type=_Parts(),
        default=','.join(PARTS),
        show_default=True,
        help='unpaired: B and S of other scenes; train: known pairs; test: pairs.',
    )
    @_RATIO
    @click.option(
        '--list',
        'lists',
        type=_SplitList(),
        multiple=True,
        metavar='SPLIT=FILE',
        help="The authors' list of a split's pictures, where folders do not name splits. Several allowed.",
    )
    @_SCENE_PATTERN
    @_INCOMPLETE
    @_WRITING
    def command(
        sources: tuple[Path, ...],
        out: Path,
        parts: tuple[str, ...],
        ratio: float,
        lists: tuple[tuple[str, str], ...],
        scene_pattern: str | None,
        incomplete: bool,
        as_lmdb: bool,
        max_gb: float,
        force: bool,
    ) -> None:
        from b2b_basicsr.prepare.prepared_set import SetSettings, echo_summary, write_set
        from b2b_basicsr.prepare.set_plan import plan_published

        (opened,) = _opened(out, force, max_gb, sources)
        listed = {split: frozenset[str]() for split, _ in lists}
        for split, file in lists:
            listed[split] |= read_list(file)
        layout = _scenes(read_layout([file for source in opened for file in source.files], lists=listed), scene_pattern)
        plan = plan_published(published, layout, parts, ratio, incomplete)
        settings = SetSettings(as_lmdb=as_lmdb, size=published.size, incomplete=incomplete, force=force)
        recorded = {
            'set': published.name,
            'settings': {
                'parts': parts,
                'ratio': ratio,
                'lists': lists,
                'scene_pattern': scene_pattern,
                'incomplete': incomplete,
                'lmdb': as_lmdb,
            },
        }
        echo_summary(write_set(plan, opened, out, settings, recorded), as_lmdb)

    return command


@click.command(
    PHONECRAFT.command,
    help=f'{PHONECRAFT.about}\n\nSOURCE: archives as published, or folders unpacked; videos or frames.',
)
@_SOURCES
@_out(PHONECRAFT.name)
@_RATIO
@_FRAMES
@_SCENE_PATTERN
@_WRITING
def _phonecraft(
    sources: tuple[Path, ...],
    out: Path,
    ratio: float,
    fps: float,
    test_share: float,
    scene_pattern: str | None,
    as_lmdb: bool,
    max_gb: float,
    force: bool,
) -> None:
    (opened,) = _opened(out, force, max_gb, sources)
    layout = _scenes(read_layout([file for source in opened for file in source.files], loose=True), scene_pattern)
    _write_own(PHONECRAFT.name, layout, opened, out, ratio, test_share, fps, as_lmdb, force)


@click.command('folder')
@click.option(
    '--blur',
    'blurry',
    multiple=True,
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help='Folder, archive, picture or video with blur. Several: --blur A --blur B.',
)
@click.option(
    '--sharp',
    multiple=True,
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help='The same for sharp ones, of the same camera.',
)
@_out('own')
@_RATIO
@_FRAMES
@_SCENE_PATTERN
@_WRITING
def _folder(
    blurry: tuple[Path, ...],
    sharp: tuple[Path, ...],
    out: Path,
    ratio: float,
    fps: float,
    test_share: float,
    scene_pattern: str | None,
    as_lmdb: bool,
    max_gb: float,
    force: bool,
) -> None:
    """Your own pictures and videos of one camera.

    A video is a scene, a folder below a given one is a scene, and a picture directly in a given folder is one, too. A
    name that stands among the blurry and the sharp ones is one scene, and used on one side only: so one folder may be
    given for both, and its scenes are shared out.
    """
    from b2b_basicsr.prepare.own_pictures import own_layout

    blurry_sources, sharp_sources = _opened(out, force, max_gb, blurry, sharp)
    layout = _scenes(own_layout(blurry_sources, sharp_sources), scene_pattern)
    opened = [*blurry_sources, *(source for source in sharp_sources if source not in blurry_sources)]
    _write_own('folder', layout, opened, out, ratio, test_share, fps, as_lmdb, force)


def _opened(out: Path, force: bool, max_gb: float, *sides: tuple[Path, ...]) -> list[list[Source]]:
    """The sources of each side, listed; one that is given for several sides is the same object there."""
    from b2b_basicsr.errors import UserError
    from b2b_basicsr.prepare.prepared_set import check_target
    from b2b_basicsr.prepare.source_files import open_source
    from b2b_basicsr.prepare.untrusted_members import GIGABYTE, SizeBound

    for side in sides:
        for place, path in enumerate(side):
            if path.resolve() in (earlier.resolve() for earlier in side[:place]):
                raise UserError(f'{path}: is given twice; once is enough')
    given = [path for side in sides for path in side]
    for path in given:
        for other in given:
            if other.resolve() in path.resolve().parents:
                raise UserError(f'{path}: lies in {other}, which is given, too; its pictures would be in the set twice')
    check_target(out, given, force)
    bound = SizeBound(int(max_gb * GIGABYTE))
    opened: dict[Path, Source] = {}
    for path in given:
        if path.resolve() not in opened:
            opened[path.resolve()] = open_source(path, bound)
    return [[opened[path.resolve()] for path in side] for side in sides]


def _scenes(layout: Layout, pattern: str | None) -> Layout:
    from b2b_basicsr.prepare.set_plan import scenes_by_pattern

    return scenes_by_pattern(layout, pattern) if pattern else layout


def _write_own(
    name: str,
    layout: Layout,
    sources: Any,
    out: Path,
    ratio: float,
    test_share: float,
    fps: float,
    as_lmdb: bool,
    force: bool,
) -> None:
    from b2b_basicsr.prepare.own_pictures import plan_own
    from b2b_basicsr.prepare.prepared_set import SetSettings, echo_summary, write_set

    settings = SetSettings(as_lmdb=as_lmdb, frame_rate=fps, force=force)
    recorded = {
        'set': name,
        'settings': {'ratio': ratio, 'test_share': test_share, 'fps': fps, 'lmdb': as_lmdb},
    }
    echo_summary(write_set(plan_own(layout, ratio, test_share), sources, out, settings, recorded), as_lmdb)


PREPARE_SETS = (*map(_published_command, (RB2V, GOPRO, REDS, RSBLUR)), _phonecraft, _folder)
