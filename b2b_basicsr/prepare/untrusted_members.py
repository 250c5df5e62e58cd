"""What an archive may hold: names that stay inside, and a bounded amount."""

from __future__ import annotations

import re
from pathlib import Path

from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.file_kinds import is_picture

GIGABYTE = 1_000_000_000
LARGEST_PICTURE = 256 * 1024 * 1024
"""Bytes of one member that is named like a picture."""

_MOST_MEMBERS = 2_000_000
_DRIVE = re.compile(r'[A-Za-z]:')


def inner_parts(archive: Path, name: str) -> tuple[str, ...]:
    """The parts of a member's path, without ``.`` and empty ones.

    Raises:
        UserError: if the path is absolute, names a drive, climbs by ``..`` or hides one of these behind a backslash or
            a NUL: an archive with such a member was made to harm, and is refused whole.
    """
    if _leads_out(name):
        raise UserError(
            f'{archive}: member {name!r} points outside the archive, so the whole archive is refused; take it from '
            'where the data set is published'
        )
    return _parts(name)


def safe_key_parts(key: str) -> tuple[str, ...]:
    """The parts of an LMDB's key, for a path below some folder.

    Raises:
        UserError: if the path would lie elsewhere, as in :func:`inner_parts`, or be that folder itself.
    """
    parts = _parts(key)
    if _leads_out(key) or not parts:
        raise UserError(f'LMDB key {key!r} leads out of its folder; write the database anew')
    return parts


def _leads_out(name: str) -> bool:
    hidden = '\\' in name or '\0' in name
    return hidden or name.startswith('/') or '..' in name.split('/') or bool(_DRIVE.match(name))


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in name.split('/') if part not in ('', '.'))


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
        self._members += 1
        if size < 0:
            raise UserError(f'{archive}: member {name!r} claims a size below zero; the archive is refused')
        if size > LARGEST_PICTURE and is_picture(name):
            raise UserError(
                f'{archive}: member {name!r} claims {size / GIGABYTE:.2f} GB, more than a picture may have '
                f'({LARGEST_PICTURE / GIGABYTE:.2f} GB); the archive is refused'
            )
        self.add_bytes(archive, f'member {name!r}', size)
        if self._members > _MOST_MEMBERS:
            raise UserError(f'{archive}: the archives hold more than {_MOST_MEMBERS} members; unpack what is needed')

    def add_bytes(self, archive: Path, what: str, size: int) -> None:
        """Count bytes, of a member or between members.

        Raises:
            UserError: if all so far together are beyond the bound.
        """
        self._bytes += size
        if self._bytes > self.most_bytes:
            raise UserError(
                f'{archive}: with {what} the archives hold more than {self.most_bytes / GIGABYTE:g} GB unpacked; if '
                'that is right, raise --max-gb'
            )
