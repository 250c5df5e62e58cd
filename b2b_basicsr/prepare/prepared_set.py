"""A planned set, written: links or copies, frames of videos, LMDB, checks and manifest."""

from __future__ import annotations

import json
import platform
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import click
import cv2
import PIL
from tqdm import tqdm

from b2b_basicsr import __version__
from b2b_basicsr.errors import UserError
from b2b_basicsr.picture_content import open_header
from b2b_basicsr.prepare.link_or_copy import link_or_copy
from b2b_basicsr.prepare.picture_lmdb import write_picture_lmdb
from b2b_basicsr.prepare.set_plan import SetPlan
from b2b_basicsr.prepare.source_files import Source, SourceFile, copy_stream
from b2b_basicsr.prepare.untrusted_members import GIGABYTE
from b2b_basicsr.prepare.video_frames import sample_video
from b2b_basicsr.prepare.whole_or_nothing import MANIFEST, check_replaceable, whole_or_nothing

OPTION_KEYS = {
    'unpaired/blur': 'datasets:train:dataroot_blur',
    'unpaired/sharp': 'datasets:train:dataroot_sharp',
    'train/blur': 'datasets:train:dataroot_known_blur',
    'train/sharp': 'datasets:train:dataroot_known_sharp',
    'test/blur': 'datasets:val:dataroot_lq',
    'test/sharp': 'datasets:val:dataroot_gt',
}
"""Folder of a prepared set -> the option key that names it."""

_VIDEOS = '.videos'


@dataclass
class PartCount:
    """What a folder of a prepared set holds."""

    pictures: int = 0
    scenes: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class SetSettings:
    """How a set is written.

    Args:
        as_lmdb: databases instead of folders.
        frame_rate: frames a second taken from videos; 0: every one.
        size: width and height that every picture must have; ``None``: any.
        incomplete: whether pictures of another size are noted instead of refused.
        force: whether an earlier set is replaced.
    """

    as_lmdb: bool = False
    frame_rate: float = 0.0
    size: tuple[int, int] | None = None
    incomplete: bool = False
    force: bool = False


@dataclass
class PreparedSet:
    """A set written by :func:`write_set`.

    Args:
        folder: of the set.
        counts: folder like ``unpaired/blur`` -> what it holds.
        disk_bytes: of all pictures, those that stand in several folders counted once where they are hard links.
        notes: what the user should know.
    """

    folder: Path
    counts: dict[str, PartCount]
    disk_bytes: int
    notes: list[str] = field(default_factory=list)


def check_target(out: Path, sources: Iterable[Path], force: bool) -> None:
    """Refuse to write into what is read, or over what is there. Worth asking before long archives are listed.

    Raises:
        UserError: if ``out`` lies in a source, a source in ``out``, or ``out`` may not be replaced.
    """
    check_replaceable(out, force)
    target = out.resolve()
    for source in sources:
        given = source.resolve()
        if target == given or (given.is_dir() and target.is_relative_to(given)) or given.is_relative_to(target):
            raise UserError(f'{out}: the set would lie in its own source {source}, or hold it; give another -o')


def write_set(
    plan: SetPlan, sources: Sequence[Source], out: Path, settings: SetSettings, recorded: Mapping[str, Any]
) -> PreparedSet:
    """Write a planned set to ``out``, whole or not at all.

    Pictures of folders are hard-linked (copied where the file system refuses); each of an archive is written once and
    hard-linked to its other places.

    Args:
        plan: what goes where.
        sources: that hold the plan's files.
        out: folder of the set.
        settings: how to write.
        recorded: what ``prepared.json`` says beside counts, scenes and versions.

    Raises:
        UserError: if a source is broken, a picture cannot be read or is of the wrong size, twins differ in size, the
            disk is full, or ``out`` may not be replaced.
    """
    check_target(out, (source.path for source in sources), settings.force)
    lost = sorted(_parts_of(out) - {part.split('/')[0] for part in plan.scenes})
    if lost:
        plan.notes.append(f'{out}: the earlier set also had {", ".join(lost)}; replaced by this one, they are gone')
    with whole_or_nothing(out, settings.force) as partial:
        writer = _SetWriter(plan, partial, settings)
        writer.write(sources)
        manifest = {
            **recorded,
            'sources': [_source_record(source) for source in sources],
            'counts': {part: vars(count) for part, count in writer.counts.items()},
            'scenes': plan.scenes,
            'notes': [*plan.notes, *writer.notes],
            'versions': {
                'b2b_basicsr': __version__,
                'python': platform.python_version(),
                'pillow': PIL.__version__,
                'opencv': cv2.__version__,
            },
        }
        disk_bytes = _disk_bytes(partial)
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1) + '\n', encoding='ascii')
    return PreparedSet(out, writer.counts, disk_bytes, [*plan.notes, *writer.notes])


def _parts_of(out: Path) -> set[str]:
    """What an earlier set in this place holds: ``unpaired``, ``train`` and ``test``."""
    return {folder.name for folder in out.iterdir() if folder.is_dir()} if (out / MANIFEST).is_file() else set()


class _SetWriter:
    def __init__(self, plan: SetPlan, folder: Path, settings: SetSettings) -> None:
        self.plan = plan
        self.folder = folder
        self.settings = settings
        self.notes: list[str] = []
        self.counts: dict[str, PartCount] = {}
        self._targets: dict[SourceFile, list[PurePosixPath]] = defaultdict(list)
        self._sizes: dict[PurePosixPath, tuple[int, int]] = {}
        self._copied = 0
        self._wrong_sizes = 0

    def write(self, sources: Sequence[Source]) -> None:
        for target, file in self.plan.pictures.items():
            self._targets[file].append(target)
        for target, file in self.plan.videos.items():
            self._targets[file].append(target)
        self._check_space(sources)
        total = sum(file.size for file in self._targets)
        with tqdm(total=total, desc='Pictures', unit='B', unit_scale=True) as bar:
            for source in sources:
                for file, content in source.deliver([file for file in source.files if file in self._targets]):
                    targets = self._targets[file]
                    if targets[0] in self.plan.videos:
                        self._sample(file, content, targets)
                    else:
                        self._place(file, content, targets)
                    bar.update(file.size)
        self._check_twins()
        self._count()
        if self.settings.as_lmdb:
            self._turn_into_lmdb()
        if self._copied:
            self.notes.append(f'{self._copied} files copied, as the file system refuses hard links to the source')
        if self._wrong_sizes:
            self.notes.append(f'{self._wrong_sizes} pictures are not {_written(self.settings.size)}')
        for source in sources:
            if source.skipped_links:
                self.notes.append(f'{source.path}: {source.skipped_links} links or special files not followed')

    def _check_space(self, sources: Sequence[Source]) -> None:
        packed = {source.path for source in sources if source.path.is_file()}
        needed = sum(file.size for file in self._targets if file.source in packed)
        if self.settings.as_lmdb:
            parts: dict[str, int] = defaultdict(int)
            for target, file in self.plan.pictures.items():
                parts['/'.join(target.parts[:2])] += file.size
            # A folder is removed when its database is whole; what lies outside, hard-linked, takes no space here
            needed = sum(parts.values()) + (max(parts.values(), default=0) if needed else 0)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise UserError(
                f'{self.folder.parent}: the set takes {needed / 1e6:,.1f} MB, and {free / 1e6:,.1f} MB are '
                'free; free space, or give another -o'
            )

    def _new_path(self, target: PurePosixPath) -> Path:
        path = self.folder.joinpath(*target.parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _place(self, file: SourceFile, content: Any, targets: Sequence[PurePosixPath]) -> None:
        first, *others = (self._new_path(target) for target in targets)
        if isinstance(content, Path):
            self._copied += link_or_copy(content, first)
        else:
            with first.open('xb') as written:
                copy_stream(file, content, written)
        size = self._checked_size(file, first)
        for target in targets:
            self._sizes[target] = size
        for other in others:
            self._copied += link_or_copy(first, other)

    def _checked_size(self, file: SourceFile, path: Path) -> tuple[int, int]:
        try:
            with path.open('rb') as opened:
                size = open_header(opened).size
        except Exception as cause:  # Pillow's plugins raise whatever a broken file makes them raise
            reason = ' '.join(str(cause).split()) or type(cause).__name__
            raise UserError(f'{file}: cannot be read as a picture ({reason}); mend it or take it out') from cause
        if self.settings.size and size != self.settings.size:
            if not self.settings.incomplete:
                raise UserError(
                    f'{file}: is {_written(size)}, as published it is {_written(self.settings.size)}; get the whole '
                    'set, or go on with --incomplete'
                )
            self._wrong_sizes += 1
        return size

    def _sample(self, file: SourceFile, content: Any, targets: Sequence[PurePosixPath]) -> None:
        video = content
        if not isinstance(content, Path):
            video = self.folder / _VIDEOS / file.parts[-1]
            video.parent.mkdir(exist_ok=True)
            with video.open('xb') as written:
                copy_stream(file, content, written)
        for target in targets:
            folder = self._new_path(target)
            sampled = sample_video(video, str(file), folder, self.settings.frame_rate)
            if sampled.cut_off:
                self.notes.append(f'{file}: ends after {sampled.read} of {sampled.claimed} frames')
        if video is not content:
            shutil.rmtree(video.parent)

    def _check_twins(self) -> None:
        for part in ('train', 'test'):
            sharp = {
                path.relative_to(f'{part}/sharp').with_suffix(''): size
                for path, size in self._sizes.items()
                if path.is_relative_to(f'{part}/sharp')
            }
            for path, size in self._sizes.items():
                if sharp and path.is_relative_to(f'{part}/blur'):
                    twin = sharp[path.relative_to(f'{part}/blur').with_suffix('')]
                    if twin != size:
                        raise UserError(
                            f'{self.plan.pictures[path]}: is {_written(size)} and its sharp twin {_written(twin)}; '
                            'take the pair out'
                        )

    def _count(self) -> None:
        for part, scenes in self.plan.scenes.items():
            sizes = [file.stat().st_size for file in (self.folder / part).rglob('*') if file.is_file()]
            self.counts[part] = PartCount(len(sizes), len(scenes), sum(sizes))

    def _turn_into_lmdb(self) -> None:
        total = sum(count.bytes for count in self.counts.values())
        with tqdm(total=total, desc='LMDB', unit='B', unit_scale=True) as bar:
            for part in self.counts:
                folder = self.folder / part
                write_picture_lmdb(folder, folder.with_name(f'{folder.name}.lmdb'), bar.update)
                shutil.rmtree(folder)


def _written(size: tuple[int, int] | None) -> str:
    return f'{size[0]}x{size[1]}' if size else 'any size'


def _source_record(source: Source) -> dict[str, Any]:
    status = source.path.stat()
    return {
        'path': str(source.path),
        'kind': type(source).__name__.strip('_').lower(),
        'bytes': status.st_size if source.path.is_file() else sum(file.size for file in source.files),
        'modified': int(status.st_mtime),
        'files': len(source.files),
        'links_skipped': source.skipped_links,
    }


def _disk_bytes(folder: Path) -> int:
    statuses = [file.stat() for file in folder.rglob('*') if file.is_file()]
    return sum({(status.st_dev, status.st_ino): status.st_size for status in statuses}.values())


def echo_summary(prepared: PreparedSet, as_lmdb: bool) -> None:
    """Print notes, and a table of the set's folders with the option keys that they belong to."""
    for note in prepared.notes:
        click.echo(f'note: {note}')
    click.echo(f'{"folder":24} {"pictures":>9} {"scenes":>7} {"GB":>8}  option key')
    for part, count in prepared.counts.items():
        name = f'{part}.lmdb' if as_lmdb else part
        key = OPTION_KEYS[part]
        click.echo(f'{name:24} {count.pictures:9} {count.scenes:7} {count.bytes / GIGABYTE:8.3f}  {key}')
    click.echo(f'{prepared.folder}: {prepared.disk_bytes / GIGABYTE:.3f} GB on disk (hard links counted once)')
    if as_lmdb:
        click.echo('These are databases: set io_backend: {type: lmdb}.')
