"""BasicSR's LMDB layout, holding picture files byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import lmdb

from b2b_basicsr.errors import UserError
from b2b_basicsr.picture_content import open_header

_PAGE = 4096
_COMMIT_BYTES = 256 * 1024 * 1024
_LONGEST_KEY = 511


def lmdb_key(path: PurePosixPath) -> str:
    """A picture's key: its path without extension, percent-encoded, so that it is ASCII and has no dot or space.

    BasicSR cuts each line of ``meta_info.txt`` at the first dot. Slashes stay.

    Raises:
        UserError: if the key is longer than LMDB takes.

    Example:
        >>> lmdb_key(PurePosixPath('scene 1/v1.2/übung.png'))
        'scene%201/v1%2E2/%C3%BCbung'
    """
    key = quote(path.with_suffix('').as_posix(), safe='/', errors='surrogateescape').replace('.', '%2E')
    if len(key) > _LONGEST_KEY:
        raise UserError(f'{path}: its LMDB key has {len(key)} characters, {_LONGEST_KEY} is the most; shorten the name')
    return key


def write_picture_lmdb(folder: Path, target: Path, progress: Callable[[int], object]) -> None:
    """Write all files of a folder of pictures, of any depth, into an LMDB that BasicSR reads.

    Args:
        folder: holds nothing but pictures.
        target: ``NAME.lmdb``, which must not be there; it appears when it is whole.
        progress: is told the bytes written.

    Raises:
        UserError: if two files have one key, a file is no picture, or the database cannot be written.
    """
    files = {lmdb_key(PurePosixPath(file.relative_to(folder))): file for file in folder.rglob('*') if file.is_file()}
    names = [file for file in folder.rglob('*') if file.is_file()]
    if len(files) != len(names):
        lost = sorted(set(names) - set(files.values()))[0]
        raise UserError(f'{lost}: differs from another file in its extension alone, and LMDB keys have none; rename it')
    # A value takes whole pages, and so do the inner nodes of the tree
    room = sum((file.stat().st_size // _PAGE + 3) * _PAGE for file in names)
    partial = target.with_name(f'.{target.name}.partial')
    lines = []
    try:
        with lmdb.open(str(partial), map_size=room + room // 10 + (16 << 20)) as environment:
            transaction = environment.begin(write=True)
            pending = 0
            for key in sorted(files):
                content = files[key].read_bytes()
                lines.append(f'{key}.png {_shape(files[key])} 1\n')
                transaction.put(key.encode('ascii'), content)
                pending += len(content)
                if pending > _COMMIT_BYTES:
                    transaction.commit()
                    transaction = environment.begin(write=True)
                    pending = 0
                progress(len(content))
            transaction.commit()
    except lmdb.Error as cause:
        raise UserError(f'{target}: the database cannot be written ({cause}); free space or give another -o') from cause
    (partial / 'meta_info.txt').write_text(''.join(lines), encoding='ascii')
    partial.rename(target)


def _shape(file: Path) -> str:
    try:
        with file.open('rb') as opened:
            picture = open_header(opened)
            return f'({picture.height},{picture.width},{len(picture.getbands())})'
    except Exception as cause:  # Pillow's plugins raise whatever a broken file makes them raise
        raise UserError(f'{file}: cannot be read as a picture; mend it or take it out') from cause
