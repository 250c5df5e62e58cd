"""A set of pictures, from a folder of any depth or an LMDB, through BasicSR's file client."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from basicsr.data.data_util import paths_from_lmdb
from basicsr.utils import FileClient
from PIL import Image, ImageOps
from torchvision.datasets.folder import IMG_EXTENSIONS

from b2b_basicsr.data.lmdb_clients import read_lmdb
from b2b_basicsr.data.plain_png import PlainPng, plain_png_size
from b2b_basicsr.data.random_crop import Croppable, Size
from b2b_basicsr.data.worker_threads import keep_worker_to_one_thread
from b2b_basicsr.errors import UserError

_EXIF_ORIENTATION = 0x0112
_DEEP_GREY_MODES = ('I', 'F')


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
        self.root = Path(root).expanduser()
        self._backend = dict(io_backend)
        if not self.root.is_dir():
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
        names = []
        for folder, subfolders, files in os.walk(self.root, followlinks=True):
            subfolders[:] = [name for name in subfolders if not name.startswith('.')]
            for file in files:
                if not file.startswith('.') and file.lower().endswith(IMG_EXTENSIONS):
                    names.append(Path(folder, file).relative_to(self.root).as_posix())
        return sorted(names)

    def _list_lmdb(self) -> list[str]:
        if self.root.suffix != '.lmdb' or not (self.root / 'meta_info.txt').is_file():
            raise UserError(
                f"{self.option_key}: {str(self.root)!r} is no LMDB of BasicSR's (NAME.lmdb with meta_info.txt in it); "
                'make one with basicsr.utils.lmdb_util, or set io_backend: {type: disk}'
            )
        return sorted(paths_from_lmdb(str(self.root)))

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

    def content_of(self, place: str) -> bytes:
        """The undecoded picture at a place that :meth:`stored_at` gives.

        Raises:
            UserError: if an LMDB lacks it.
        """
        keep_worker_to_one_thread()  # every data set reads here
        options = {key: value for key, value in self._backend.items() if key != 'type'}
        if self._backend['type'] == 'disk':
            content = FileClient('disk', **options).get(place)
        else:
            content = read_lmdb(str(self.root), options, place)
        if content is None:
            raise UserError(f'{self.option_key}: {self.root / place} is in meta_info.txt but not in the database')
        return bytes(content)

    def _file(self, index: int) -> IO[bytes]:
        if self._backend['type'] == 'disk':
            return open(self.path(index), 'rb')
        return io.BytesIO(self.content_of(self.stored_at(index)))

    def _unreadable(self, index: int, cause: Exception) -> UserError:
        reason = ' '.join(str(cause).split()) or type(cause).__name__
        return UserError(
            f'{self.option_key}: {self.path(index)} cannot be read as a picture ({reason}); mend it or take it out'
        )

    def size(self, index: int) -> Size:
        """Width and height in pixels as the picture is shown, from its header alone.

        Raises:
            UserError: if the header cannot be read.
        """
        try:
            with self._file(index) as file:
                return _shown_size(file)
        except UserError:
            raise
        except Exception as cause:  # Pillow's plugins raise whatever a broken file makes them raise
            raise self._unreadable(index, cause) from cause

    def read(self, index: int) -> Image.Image:
        """The decoded picture: 8-bit RGB, EXIF orientation applied.

        Raises:
            UserError: if the file is missing, truncated or no picture.
        """
        return self._decoded(index, self._content(index))

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
            return self.content_of(self.stored_at(index))
        except UserError:
            raise
        except Exception as cause:
            raise self._unreadable(index, cause) from cause

    def _decoded(self, index: int, content: bytes) -> Image.Image:
        try:
            picture: Image.Image = Image.open(io.BytesIO(content))
            if picture.mode.startswith(_DEEP_GREY_MODES):
                raise ValueError(f'{picture.mode}: grey deeper than 8 bits, which would be clipped; save it with 8')
            picture.load()
            # In place, and converted only where it is something else: both would copy the picture.
            ImageOps.exif_transpose(picture, in_place=True)
            return picture if picture.mode == 'RGB' else picture.convert('RGB')
        except Exception as cause:
            raise self._unreadable(index, cause) from cause


def _minds_size(size: Size) -> bool:
    """Whether Pillow refuses or warns of a picture that large, lest a small file fill the memory."""
    return size[0] * size[1] > (Image.MAX_IMAGE_PIXELS or math.inf)


def _shown_size(file: IO[bytes]) -> Size:
    if size := plain_png_size(file):
        if _minds_size(size):
            file.seek(0)
            Image.open(file)  # which says so; it reads the header alone, and the file is the caller's
        return size
    file.seek(0)
    with Image.open(file) as picture:
        width, height = picture.size
        turned = picture.getexif().get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)


def picture_size(option_key: str, path: str) -> Size:
    """Width and height in pixels of the picture in one file, as it is shown.

    Raises:
        UserError: if the header cannot be read.
    """
    try:
        with open(path, 'rb') as file:
            return _shown_size(file)
    except Exception as cause:
        raise UserError(
            f'{option_key}: {path} cannot be read as a picture ({cause}); mend it or take it out'
        ) from cause


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
            f'{blur.option_key}: {blur.path(index)} measures {size[0]}x{size[1]}, its sharp twin '
            f'{twin_size[0]}x{twin_size[1]}; pairs must be of one size'
        )
