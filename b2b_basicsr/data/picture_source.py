"""A set of pictures, from a folder of any depth or an LMDB, through BasicSR's file client."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from basicsr.data.data_util import paths_from_lmdb
from basicsr.utils import FileClient
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS

from b2b_basicsr.data.lmdb_clients import read_lmdb
from b2b_basicsr.data.plain_png import PlainPng, plain_png_size
from b2b_basicsr.data.random_crop import Croppable, Size, resized
from b2b_basicsr.data.worker_threads import keep_worker_to_one_thread
from b2b_basicsr.errors import UserError
from b2b_basicsr.picture_content import decoded, header_size, most_pixels, open_header, refuse_bomb
from b2b_basicsr.printable import printable
from b2b_basicsr.regular_file import require_regular_file


class PictureSource:
    """Pictures under one option key, in sorted order.

    Args:
        option_key: the key that names the folder, for messages, e.g. ``datasets:train:dataroot_blur``.
        root: folder, or an ``.lmdb`` folder made as BasicSR makes them.
        io_backend: BasicSR's ``io_backend`` section: ``{type: disk}`` or ``{type: lmdb}``.

    Raises:
        UserError: if the folder is missing, holds no picture, or the backend does not fit it.
    """

    def __init__(self, option_key: str, root: str, io_backend: Mapping[str, Any]) -> None:
        if not isinstance(io_backend, Mapping) or 'type' not in io_backend:
            raise UserError(
                f'{option_key.rpartition(":")[0]}:io_backend: {io_backend!r}; write io_backend: {{type: disk}}'
            )
        self.option_key = option_key
        self._backend = dict(io_backend)
        try:
            self.root = Path(root).expanduser()
            is_folder = self.root.is_dir()
        except (OSError, RuntimeError) as cause:
            raise UserError(f'{option_key}: {root!r} cannot be looked at ({cause}); give another path') from cause
        if not is_folder:
            raise UserError(f'{option_key}: no folder {root!r} (looked in {Path.cwd()}); give the path of a folder')
        self.names = self._list_lmdb() if self._backend.get('type') == 'lmdb' else self._list_folder()
        if not self.names:
            raise UserError(
                f'{option_key}: no picture in {root!r} or below it; picture files end in {", ".join(IMG_EXTENSIONS)}'
            )

    def _list_folder(self) -> list[str]:
        if self._backend.get('type') != 'disk':
            raise UserError(f'{self.option_key}: io_backend type {self._backend.get("type")!r}; use disk or lmdb')
        if self.root.suffix == '.lmdb':
            raise UserError(f'{self.option_key}: {str(self.root)!r} is an LMDB; set io_backend: {{type: lmdb}}')
        try:
            return sorted(file.relative_to(self.root).as_posix() for file in _pictures_below(self.root))
        except OSError as error:
            raise UserError(
                f'{self.option_key}: {printable(str(error.filename))} cannot be listed ({error.strerror}); mend that'
            ) from error

    def _list_lmdb(self) -> list[str]:
        try:
            if self.root.suffix != '.lmdb' or not (self.root / 'meta_info.txt').is_file():
                raise UserError(
                    f"{self.option_key}: {str(self.root)!r} is no LMDB of BasicSR's (NAME.lmdb with meta_info.txt in "
                    'it); make one with basicsr.utils.lmdb_util, or set io_backend: {type: disk}'
                )
            return sorted(paths_from_lmdb(str(self.root)))
        except (OSError, UnicodeDecodeError) as cause:
            raise UserError(
                f'{self.option_key}: {self.root / "meta_info.txt"} cannot be read ({cause}); make the LMDB again'
            ) from cause

    def __len__(self) -> int:
        return len(self.names)

    def path(self, index: int) -> str:
        """The picture's full path (for LMDB: the database's, then the key)."""
        return str(self.root / self.names[index])

    def stems(self) -> dict[str, int]:
        """Relative path without extension -> place in the list.

        Raises:
            UserError: if two pictures share a relative path without extension.
        """
        stems: dict[str, int] = {}
        for index, name in enumerate(self.names):
            stem = name if self._backend['type'] == 'lmdb' else PurePosixPath(name).with_suffix('').as_posix()
            if stem in stems:
                raise UserError(
                    f'{self.option_key}: {self.names[stems[stem]]} and {name} differ in their extension alone, and '
                    'pairs are matched without it; take one out'
                )
            stems[stem] = index
        return stems

    def stored_at(self, index: int) -> str:
        """Where BasicSR finds the picture: its full path, or its key in the LMDB."""
        return self.path(index) if self._backend['type'] == 'disk' else self.names[index]

    def read_at(self, place: str) -> Image.Image:
        """:meth:`read` by a place that :meth:`stored_at` gives."""
        name = place if self._backend['type'] == 'disk' else str(self.root / place)
        try:
            return decoded(self._content_of(place))
        except Exception as cause:
            raise _unreadable(self.option_key, name, cause) from cause

    def _content_of(self, place: str) -> bytes:
        keep_worker_to_one_thread()  # every data set reads here
        options = {key: value for key, value in self._backend.items() if key != 'type'}
        if self._backend['type'] == 'disk':
            require_regular_file(place)
            content = FileClient('disk', **options).get(place)
        else:
            content = read_lmdb(str(self.root), options, place)
        if content is None:
            raise UserError('in meta_info.txt, but not in the database')
        return bytes(content)

    def _file(self, index: int) -> IO[bytes]:
        if self._backend['type'] == 'disk':
            require_regular_file(self.path(index))
            return open(self.path(index), 'rb')
        return io.BytesIO(self._content_of(self.stored_at(index)))

    def _unreadable(self, index: int, cause: Exception) -> UserError:
        return _unreadable(self.option_key, self.path(index), cause)

    def size(self, index: int) -> Size:
        """Width and height in pixels as the picture is shown, from its header alone.

        Raises:
            UserError: if the header cannot be read.
        """
        try:
            with self._file(index) as file:
                return _shown_size(file)
        except Exception as cause:  # Pillow's plugins raise whatever a broken file makes them raise
            raise self._unreadable(index, cause) from cause

    def read(self, index: int) -> Image.Image:
        """The decoded picture: 8-bit RGB, EXIF orientation applied.

        Raises:
            UserError: if the file is missing, truncated or no picture.
        """
        return self.read_at(self.stored_at(index))

    def open(self, index: int) -> Croppable:
        """The same picture for one crop to be cut from, decoded no further than that needs, where this is quicker.

        Raises:
            UserError: if the file is missing, truncated or no picture. Damage within it may be found by the cutting
                alone, or, where no crop needs it, not at all.
        """
        content = self._content(index)
        size = plain_png_size(io.BytesIO(content))
        if size is None or _minds_size(size):
            return self._decoded(index, content)
        return PlainPng(content, size, partial(self._decoded, index, content))

    def _content(self, index: int) -> bytes:
        try:
            return self._content_of(self.stored_at(index))
        except Exception as cause:
            raise self._unreadable(index, cause) from cause

    def _decoded(self, index: int, content: bytes) -> Image.Image:
        try:
            return decoded(content)
        except UserError as cause:
            raise self._unreadable(index, cause) from cause

    def read_resized(self, index: int, shorter_side: int | None) -> Image.Image:
        """:meth:`read`, resized (bicubic, antialiased, as in training) until its shorter side has that many pixels.

        Args:
            index: of the picture.
            shorter_side: ``None`` leaves it as it is.

        Raises:
            UserError: if it cannot be read, or the longer side would become so long that the memory might be filled.
        """
        picture = self.read(index)
        size = resized(picture.size, shorter_side)
        if size == picture.size:
            return picture
        try:
            refuse_bomb(size)
        except UserError as cause:
            raise UserError(
                f'{self.option_key}: {printable(self.path(index))} measures {picture.width}x{picture.height}, resized '
                f'{cause}'
            ) from cause
        return picture.resize(size, Image.Resampling.BICUBIC)


def _pictures_below(root: Path) -> Iterator[Path]:
    """The picture files of a folder, and of each folder within it or behind a link in it, once.

    Links to folders come last, and in order, so that a folder that is reached by several ways goes by its own name.

    Raises:
        OSError: if a folder cannot be listed.
    """
    visited: set[tuple[int, int]] = set()

    def is_new(folder: Path) -> bool:
        found = folder.stat()
        place = (found.st_dev, found.st_ino)
        is_first = place not in visited
        visited.add(place)
        return is_first

    def give_up(error: OSError) -> None:
        raise error

    starts = deque([root])
    while starts:
        start = starts.popleft()
        if not is_new(start):
            continue
        for folder, subfolders, files in os.walk(start, onerror=give_up):
            within = [Path(folder, name) for name in sorted(subfolders) if not name.startswith('.')]
            starts.extend(path for path in within if path.is_symlink())
            subfolders[:] = [path.name for path in within if not path.is_symlink() and is_new(path)]
            for file in files:
                if not file.startswith('.') and file.lower().endswith(IMG_EXTENSIONS):
                    yield Path(folder, file)


def _minds_size(size: Size) -> bool:
    """Whether Pillow refuses or warns of a picture that large, lest a small file fill the memory."""
    return size[0] * size[1] > most_pixels() / 2


def _shown_size(file: IO[bytes]) -> Size:
    size = plain_png_size(file)
    file.seek(0)
    if size is None:
        return header_size(file)
    if _minds_size(size):
        open_header(file)  # which says so
    return size


def picture_size(option_key: str, path: str) -> Size:
    """Width and height in pixels of the picture in one file, as it is shown.

    Raises:
        UserError: if the header cannot be read.
    """
    try:
        require_regular_file(path)
        with open(path, 'rb') as file:
            return _shown_size(file)
    except Exception as cause:
        raise _unreadable(option_key, path, cause) from cause


def decoded_size(option_key: str, path: str) -> Size:
    """As :func:`picture_size`, but decodes the whole picture.

    Raises:
        UserError: if it is missing, truncated or no picture.
    """
    try:
        require_regular_file(path)
        return decoded(Path(path).read_bytes()).size
    except Exception as cause:
        raise _unreadable(option_key, path, cause) from cause


def _unreadable(option_key: str, path: str, cause: Exception) -> UserError:
    reason = printable(' '.join(str(cause).split()) or type(cause).__name__)
    return UserError(f'{option_key}: {printable(path)} cannot be read as a picture ({reason}); mend it or take it out')


def matched_pairs(first: PictureSource, second: PictureSource) -> list[tuple[int, int]]:
    """Places of the pictures that share a relative path without extension, in ``first``'s order.

    Raises:
        UserError: if a picture of either set has no twin in the other.
    """
    first_stems, second_stems = first.stems(), second.stems()
    for one, other, source, where in (
        (first_stems, second_stems, first, second),
        (second_stems, first_stems, second, first),
    ):
        lonely = sorted(one.keys() - other.keys())
        if lonely:
            raise UserError(
                f'{source.option_key}: {len(lonely)} of {len(one)} pictures have no twin of the same relative path in '
                f'{where.option_key}, the first is {source.names[one[lonely[0]]]}'
            )
    return [(index, second_stems[stem]) for stem, index in first_stems.items()]


def refuse_unequal_twins(blur: PictureSource, index: int, size: Size, twin_size: Size) -> None:
    """Refuses a pair whose sizes differ.

    Args:
        blur: the set of blurry pictures.
        index: of the blurry picture.
        size: its width and height.
        twin_size: those of its sharp twin.

    Raises:
        UserError: naming the picture and both sizes.
    """
    if size != twin_size:
        raise UserError(
            f'{blur.option_key}: {printable(blur.path(index))} measures {size[0]}x{size[1]}, its sharp twin '
            f'{twin_size[0]}x{twin_size[1]}; pairs must be of one size'
        )
