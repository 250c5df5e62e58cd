"""Where pictures come from: zip and tar archives and folders, under one face."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from tqdm import tqdm

from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.file_kinds import is_picture, is_video
from b2b_basicsr.prepare.untrusted_members import SizeBound, inner_parts

_CHUNK = 1 << 20
_LONGEST_TAR_NAME = 1 << 20
_GLOBAL_TAR_HEADERS = 1 << 16
_TAR_HEADERS_OF_A_MEMBER = 8
_TAR_HEADERS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.XGLTYPE,
)
_ENCRYPTED = 0x1
# What the readers of the standard library raise on broken archives
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
    ValueError,
    IndexError,
    OverflowError,
)


@dataclass(frozen=True)
class SourceFile:
    """A picture or video in a source.

    Args:
        source: the archive or folder, as the user gave it.
        parts: its path inside the source.
        size: in bytes, as the source claims.
        place: of the member in its archive.
    """

    source: Path
    parts: tuple[str, ...]
    size: int
    place: int = 0

    def __str__(self) -> str:
        return f'{self.source}: {"/".join(self.parts)}'


@dataclass
class Source(ABC):
    """An archive or a folder, listed before anything is read.

    Args:
        path: as the user gave it.
        files: its pictures and videos, in the archive's order, or sorted.
        skipped_links: links, devices and the like, which are never followed.
        others: files that are neither picture nor video.
    """

    path: Path
    files: list[SourceFile] = field(default_factory=list)
    skipped_links: int = 0
    others: int = 0

    @abstractmethod
    def deliver(self, wanted: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, Path | IO[bytes]]]:
        """The wanted files in the source's order, each as the path of a plain file or as a stream.

        Raises:
            UserError: if the source is broken.
        """

    def _take(self, parts: tuple[str, ...], size: int, place: int = 0) -> None:
        if not parts or any(part.startswith('.') or part == '__MACOSX' for part in parts):
            return
        if is_picture(parts[-1]) or is_video(parts[-1]):
            path = '/'.join(parts)
            if any(ord(character) < 32 or ord(character) == 127 for character in path):
                raise UserError(f'{self.path}: the name {path!r} has a control character; rename it, or leave it out')
            self.files.append(SourceFile(self.path, parts, size, place))
        else:
            self.others += 1


class _Folder(Source):
    def list_files(self) -> None:
        def give_up(error: OSError) -> None:
            raise UserError(f'{error.filename}: cannot be listed ({error.strerror})') from error

        for folder, subfolders, names in os.walk(self.path, followlinks=False, onerror=give_up):
            self.skipped_links += sum(os.path.islink(os.path.join(folder, name)) for name in subfolders)
            subfolders.sort()
            for name in sorted(names):
                found = Path(folder, name)
                status = found.lstat()
                if stat.S_ISREG(status.st_mode):
                    self._take(found.relative_to(self.path).parts, status.st_size)
                else:
                    self.skipped_links += 1

    def deliver(self, wanted: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, Path | IO[bytes]]]:
        for file in wanted:
            yield file, self.path.joinpath(*file.parts)


class _SingleFile(Source):
    def list_files(self) -> None:
        self._take((self.path.name,), self.path.stat().st_size)

    def deliver(self, wanted: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, Path | IO[bytes]]]:
        for file in wanted:
            yield file, self.path


class _Zip(Source):
    def list_files(self, bound: SizeBound) -> None:
        with _reading(self.path), zipfile.ZipFile(self.path) as archive:
            for place, member in enumerate(archive.infolist()):
                # orig_filename: zipfile itself cuts names at a NUL
                parts = inner_parts(self.path, member.orig_filename)
                bound.add(self.path, member.filename, member.file_size)
                if member.flag_bits & _ENCRYPTED:
                    raise UserError(
                        f'{self.path}: member {member.filename!r} is encrypted; unpack it and give the folder'
                    )
                mode = member.external_attr >> 16
                if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                    self.skipped_links += 1
                elif not member.is_dir():
                    self._take(parts, member.file_size, place)

    def deliver(self, wanted: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, Path | IO[bytes]]]:
        with ExitStack() as stack:
            with _reading(self.path):
                archive = stack.enter_context(zipfile.ZipFile(self.path))
                members = archive.infolist()
            for file in wanted:
                with ExitStack() as opened:
                    with _reading(self.path, file):
                        stream = opened.enter_context(archive.open(members[file.place]))
                    yield file, stream


class _RefusedTarError(tarfile.ReadError):
    """A tar it is, but made to harm."""


class _BoundedTarInfo(tarfile.TarInfo):
    """Bounds what tarfile itself reads into memory, of which a small compressed archive could claim all."""

    def _proc_member(self, archive: _BoundedTar) -> tarfile.TarInfo:
        if not self.isreg() and self.type != tarfile.DIRTYPE and not 0 <= self.size <= _LONGEST_TAR_NAME:
            raise _RefusedTarError(f'a header of {self.size} bytes')
        if self.type in _TAR_HEADERS:
            archive.headers_in_a_row += 1
            if archive.headers_in_a_row > _TAR_HEADERS_OF_A_MEMBER:
                raise _RefusedTarError('too many headers before one member')
        if self.type == tarfile.XGLTYPE:  # kept to the end, and copied for each member
            archive.global_bytes += self.size
            if archive.global_bytes > _GLOBAL_TAR_HEADERS:
                raise _RefusedTarError(f'{archive.global_bytes} bytes of global headers')
        return cast(tarfile.TarInfo, super()._proc_member(archive))  # type: ignore[misc]

    def _refuse_sparse(self, *_: object) -> None:
        raise _RefusedTarError('a sparse file, whose map may be of any length')

    _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


class _BoundedTar(tarfile.TarFile):
    tarinfo = _BoundedTarInfo
    headers_in_a_row = 0
    global_bytes = 0

    def next(self) -> tarfile.TarInfo | None:
        self.headers_in_a_row = 0
        return super().next()


class _Tar(Source):
    def begins_like_one(self) -> bool:
        # not tarfile.is_tarfile, which believes any size of a header
        try:
            with self._opened(None):
                return True
        except _RefusedTarError:  # in its first header; listing says so again
            return True
        except _BROKEN:
            return False

    def list_files(self, bound: SizeBound) -> None:
        with _reading(self.path), self._opened('Listing') as (archive, stream):
            end = 0
            for place, member in enumerate(archive):
                parts = inner_parts(self.path, member.name)
                bound.add(self.path, member.name, member.size)
                # archive.offset is where the member ends, so this is its headers and padding
                bound.add_bytes(self.path, f'the headers of {member.name!r}', max(member.offset_data - end, 0))
                end = archive.offset
                if member.isreg():
                    self._take(parts, member.size, place)
                elif not member.isdir():
                    self.skipped_links += 1
                cast(Any, archive).members.clear()  # of a large archive they take memory
            # tarfile takes whatever is no header for the end. The true end is a block of zeros.
            stream.seek(archive.offset)
            if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError('no end mark')
            while rest := len(stream.read(_CHUNK)):  # to where a compressed stream checks itself
                bound.add_bytes(self.path, 'what lies behind the end of the tar', rest)

    def deliver(self, wanted: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, Path | IO[bytes]]]:
        by_place = {file.place: file for file in wanted}
        with ExitStack() as stack:
            with _reading(self.path):
                archive, _ = stack.enter_context(self._opened(None))
            members = enumerate(archive)
            while by_place:
                with _reading(self.path):
                    place, member = next(members, (-1, None))
                    if member is None:
                        raise tarfile.ReadError('shorter than when it was listed')
                    cast(Any, archive).members.clear()
                    file = by_place.pop(place, None)
                    stream = archive.extractfile(member) if file else None
                if file and stream:
                    yield file, stream

    @contextmanager
    def _opened(self, bar: str | None) -> Iterator[tuple[_BoundedTar, BinaryIO]]:
        with ExitStack() as stack:
            raw = stack.enter_context(self.path.open('rb'))
            magic = raw.read(6)
            raw.seek(0)
            stream = cast(BinaryIO, raw)
            if bar:
                progress = tqdm.wrapattr(
                    raw,
                    'read',
                    total=self.path.stat().st_size,
                    desc=f'{bar} {self.path.name}',
                    unit='B',
                    unit_scale=True,
                )
                stream = cast(BinaryIO, stack.enter_context(progress))
            if magic.startswith(b'\x1f\x8b'):
                stream = cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=stream)))
            elif magic.startswith(b'BZh'):
                stream = cast(BinaryIO, stack.enter_context(bz2.BZ2File(stream)))
            elif magic.startswith(b'\xfd7zXZ'):
                stream = cast(BinaryIO, stack.enter_context(lzma.LZMAFile(stream)))
            yield stack.enter_context(_BoundedTar(fileobj=stream)), stream


@contextmanager
def _reading(path: Path, file: SourceFile | None = None) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except _BROKEN as cause:
        where = f' at {"/".join(file.parts)}' if file else ''
        raise UserError(
            f'{path}: damaged, cut off or of an unknown kind{where} ({_reason(cause)}); download it again, or unpack '
            'it and give the folder'
        ) from cause


def _reason(cause: BaseException) -> str:
    return ' '.join(str(cause).split()) or type(cause).__name__


def copy_stream(file: SourceFile, stream: IO[bytes], target: BinaryIO) -> None:
    """Copy one file's bytes.

    Raises:
        UserError: if the source is broken, or the file has more or fewer bytes than its source claims.
        OSError: if the target cannot be written.
    """
    copied = 0
    while True:
        with _reading(file.source, file):
            chunk = stream.read(_CHUNK)
        if not chunk:
            break
        copied += len(chunk)
        if copied > file.size:
            break
        target.write(chunk)
    if copied != file.size:
        more = 'more' if copied > file.size else 'fewer'
        raise UserError(
            f'{file}: {more} bytes than the {file.size} that the archive claims; download the archive again'
        )


def open_source(path: Path, bound: SizeBound) -> Source:
    """List an archive, told by its content and not by its name, a folder, or a single picture or video.

    Args:
        path: of the archive, folder or file.
        bound: counts what the archives hold.

    Raises:
        UserError: if there is no such path, if it is none of these, or if the archive is broken or must not be trusted.
    """
    if path.is_dir():
        folder = _Folder(path)
        folder.list_files()
        return folder
    if not path.is_file():
        raise UserError(f'{path}: no such file or folder (looked in {Path.cwd()})')
    if is_picture(path.name) or is_video(path.name):
        single = _SingleFile(path)
        single.list_files()
        return single
    # tar first: a tar may end in a stored zip, but a zip does not begin like a tar
    tar = _Tar(path)
    if tar.begins_like_one():
        tar.list_files(bound)
        return tar
    if zipfile.is_zipfile(path):
        packed = _Zip(path)
        packed.list_files(bound)
        return packed
    with path.open('rb') as file:
        magic = file.read(6)
    if magic.startswith((b'PK', b'\x1f\x8b', b'BZh', b'\xfd7zXZ')):
        raise UserError(
            f'{path}: begins like an archive, but is damaged, cut off, or one piece of several; join the pieces '
            '(cat NAME.zip.0* > NAME.zip) or download it again'
        )
    raise UserError(f'{path}: neither zip nor tar; unpack it and give the folder')
