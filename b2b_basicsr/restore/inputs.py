"""Which files are to be restored, and under which names: the same list in every process."""

from __future__ import annotations

import glob
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from b2b_basicsr.data.natural_order import natural_order
from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.file_kinds import VIDEO_EXTENSIONS, is_video
from b2b_basicsr.regular_file import require_regular_file

_NO_FILES = 'broken links, pipes and devices'
PICTURE_EXTENSIONS = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.tif', '.tiff', '.webp')


@dataclass(frozen=True)
class Job:
    """One file to restore.

    Args:
        source: the file.
        result: where the restored file goes: in the folder for results, under the name that the source has.
    """

    source: Path
    result: Path

    @property
    def is_video(self) -> bool:
        """Whether it is a video, else a picture."""
        return is_video(self.source.name)

    @property
    def translated(self) -> Path:
        """Where the translated file goes, if it is asked for."""
        return self.result.with_name(f'{self.result.stem}_translated{self.result.suffix}')

    @property
    def compared(self) -> Path:
        """Where the file that shows all side by side goes, if it is asked for; of pictures always a PNG."""
        suffix = self.result.suffix if self.is_video else '.png'
        return self.result.with_name(f'{self.result.stem}_compare{suffix}')

    def outputs(self, translated: bool, compared: bool) -> list[Path]:
        """All files that the job writes, the result first."""
        return [self.result, *([self.translated] if translated else []), *([self.compared] if compared else [])]


@dataclass
class FoundJobs:
    """What there is to do.

    Args:
        jobs: in natural order of their results.
        others: how many files in the folders are neither picture nor video that can be restored, by extension; what is
            named like one, but is no file, under ``broken links, pipes and devices``.
    """

    jobs: list[Job] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def find_jobs(inputs: Sequence[str], out: Path, translated: bool = False, compared: bool = False) -> FoundJobs:
    """Lists the pictures and videos in files, folders (nested) and globs (``**`` is any depth).

    A file's result has the file's name; one in a folder, or found by a glob, keeps its path below the folder, or below
    the part of the glob that has no wildcard. Hidden files, and what lies in ``out``, are left out.

    Args:
        inputs: as the user gave them.
        out: the folder for the results.
        translated: whether translated files are to be written, too.
        compared: whether files that compare are.

    Raises:
        UserError: if an input is not there, nothing is found, a file that was given is of another kind, two results
            would have one name, or a result that of an input.
    """
    found = FoundJobs()
    below: set[tuple[Path, Path]] = set()
    others: set[Path] = set()
    for given in inputs:
        below.update(_files_of(given, out, others))
    found.others = Counter(_NO_FILES if _can_be_restored(file) else file.suffix.lower() or file.name for file in others)
    sources = sorted(below, key=lambda pair: (natural_order(pair[1].as_posix()), pair[1].as_posix(), str(pair[0])))
    found.jobs = [Job(source, out / name) for source, name in sources]
    if not found.jobs:
        said = f' ({said_of_others(found.others)})' if found.others else ''
        raise UserError(
            f'no picture or video in {" ".join(inputs)}{said}; files end in '
            f'{", ".join((*PICTURE_EXTENSIONS, *VIDEO_EXTENSIONS))}'
        )
    _refuse_clashes(found.jobs, out, translated, compared)
    return found


def said_of_others(others: Counter[str]) -> str:
    """How many files of other kinds there were, in words."""
    kinds = ', '.join(sorted(others))
    return f'{others.total()} {"file" if others.total() == 1 else "files"} of other kinds left out: {kinds}'


def _files_of(given: str, out: Path, others: set[Path]) -> Iterator[tuple[Path, Path]]:
    path = Path(given).expanduser()
    if path.is_dir():
        if _lies_in(path, out):
            raise UserError(f'{given}: is, or lies in, the folder for the results; give another -o')
        yield from ((file, file.relative_to(path)) for file in _walk(path, out, others))
    elif path.is_file():
        if not _can_be_restored(path):
            raise UserError(
                f'{given}: is no picture or video that can be restored; leave it out, or give its folder, in which '
                'other files are passed over'
            )
        yield path, Path(path.name)
    elif glob.has_magic(given):
        yield from _matches(path, given, out, others)
    elif os.path.lexists(path):
        raise UserError(f'{given}: is {_what_else(path)}; leave it out')
    else:
        raise UserError(f'{given}: no such file or folder (looked in {Path.cwd()})')


def _what_else(path: Path) -> str:
    try:
        require_regular_file(path)
    except UserError as cause:
        return str(cause)
    except OSError:
        pass
    return 'a link to nothing'


def _matches(pattern: Path, given: str, out: Path, others: set[Path]) -> Iterator[tuple[Path, Path]]:
    fixed = Path(*_until_wildcard(pattern.parts))
    matches = glob.glob(str(pattern), recursive=True)
    if not matches:
        raise UserError(f'{given}: matches no file (looked in {Path.cwd()})')
    leads_on: dict[Path, bool] = {}
    for match in map(Path, matches):
        folder = match if match.is_dir() else match.parent
        if folder not in leads_on:
            leads_on[folder] = not _lies_in(folder, out) and not _in_circles(folder)
        if not leads_on[folder]:
            continue
        files = _walk(match, out, others) if match.is_dir() else _wanted([match] if match.is_file() else [], others)
        yield from ((file, file.relative_to(fixed)) for file in files)


def _until_wildcard(parts: Sequence[str]) -> list[str]:
    fixed = []
    for part in parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return fixed


def _walk(folder: Path, out: Path, others: set[Path], above: tuple[tuple[int, int], ...] = ()) -> Iterator[Path]:
    """Files of any depth, through links to folders, but not round in circles, nor in the folder for the results."""
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above or folder.resolve() == out.resolve():
        return
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith('.'))
    except OSError as cause:
        raise UserError(f'{folder}: cannot be listed ({cause.strerror}); mend that, or leave it out') from cause
    yield from _wanted([entry for entry in entries if entry.is_file()], others)
    for entry in entries:
        if entry.is_dir():
            yield from _walk(entry, out, others, (*above, here))
        elif not entry.is_file() and _can_be_restored(entry):
            others.add(entry)


def _wanted(files: Sequence[Path], others: set[Path]) -> Iterator[Path]:
    for file in files:
        if file.name.startswith('.'):
            continue
        if _can_be_restored(file):
            yield file
        else:
            others.add(file)


def _can_be_restored(file: Path) -> bool:
    return file.suffix.lower() in PICTURE_EXTENSIONS or is_video(file.name)


def _lies_in(path: Path, out: Path) -> bool:
    return path.resolve().is_relative_to(out.resolve())


def _in_circles(folder: Path) -> bool:
    real = [place.resolve() for place in (folder, *folder.parents)]
    return len(set(real)) < len(real)


def _refuse_clashes(jobs: Sequence[Job], out: Path, translated: bool, compared: bool) -> None:
    # A link is replaced, what it leads to is not: both places are the input's.
    sources = {_same_file(place): job.source for job in jobs for place in (job.source, job.source.resolve())}
    writers: dict[str, Job] = {}
    for job in jobs:
        for output in job.outputs(translated, compared):
            place = _same_file(output)
            if place in sources:
                raise UserError(
                    f'{sources[place]}: would be overwritten by the result of {job.source}; give another -o'
                )
            if place in writers:
                raise UserError(
                    f'{writers[place].source} and {job.source} would both be written to {output}; give the folder '
                    'above both, quote the glob, or restore them one after the other to two folders'
                )
            writers[place] = job
    if out.exists() and not out.is_dir():
        raise UserError(f'-o {out}: is a file; give a folder')


def _same_file(path: Path) -> str:
    place = str(path.parent.resolve() / path.name)
    if sys.platform in ('win32', 'darwin'):  # where names that differ in case, or in how accents are coded, are one
        place = unicodedata.normalize('NFC', os.path.normcase(place)).casefold()
    return place
