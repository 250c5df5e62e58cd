"""What an archive may hold: names that stay inside, and a bounded amount."""

from __future__ import annotations

import re
from pathlib import Path

from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.file_kinds import is_video

GIGABYTE = 1_000_000_000
LARGEST_PICTURE = 256 * 1024 * 1024
"""Bytes of one member that is no video."""

_MOST_MEMBERS = 2_000_000
_DRIVE = re.compile(r'[A-Za-z]:')


def inner_parts(archive: Path, name: str) -> tuple[str, ...]:
    """The parts of a member's path, without ``.`` and empty ones.

    Raises:
        UserError: if the path is absolute, names a drive, climbs by ``..`` or hides one of these behind a backslash or
            a NUL: an archive with such a member was made to harm, and is refused whole.
    """
    parts = name.split('/')
    if name.startswith('/') or '\\' in name or '\0' in name or '..' in parts or _DRIVE.match(name):
        raise UserError(
            f'{archive}: member {name!r} points outside the archive, so the whole archive is refused; take it from '
            'where the data set is published'
        )
    return tuple(part for part in parts if part not in ('', '.'))


class SizeBound:
    """Counts what all archives of a run claim to hold.

    Args:
        most_bytes: that they may hold unpacked, all together.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._bytes = 0
        self._members = 0

    def add(self, archive: Path, name: str, size: int) -> None:
        """Count one member.

        Raises:
            UserError: if it alone, or all so far together, are beyond the bound.
        """
        self._bytes += size
        self._members += 1
        if size < 0 or (size > LARGEST_PICTURE and not is_video(name)):
            raise UserError(
                f'{archive}: member {name!r} claims {size / GIGABYTE:.2f} GB, more than a picture may have '
                f'({LARGEST_PICTURE / GIGABYTE:.2f} GB); the archive is refused'
            )
        if self._bytes > self.most_bytes:
            raise UserError(
                f'{archive}: with member {name!r} the archives hold more than {self.most_bytes / GIGABYTE:g} GB '
                'unpacked; if that is right, raise --max-gb'
            )
        if self._members > _MOST_MEMBERS:
            raise UserError(f'{archive}: the archives hold more than {_MOST_MEMBERS} members; unpack what is needed')
