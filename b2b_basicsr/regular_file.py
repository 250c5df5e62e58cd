"""Files that can be read to their end: no pipes and devices, on which reading would wait."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from b2b_basicsr.errors import UserError

_OTHERS = (
    (stat.S_ISDIR, 'a folder'),
    (stat.S_ISFIFO, 'a named pipe'),
    (stat.S_ISSOCK, 'a socket'),
    (stat.S_ISCHR, 'a device'),
    (stat.S_ISBLK, 'a device'),
)


def require_regular_file(path: str | Path) -> None:
    """Refuses what is there but is no file, without opening it; links are followed.

    Raises:
        UserError: if it is a folder, named pipe, socket or device; the message says so, without the path.
        OSError: if nothing is there, or it cannot be looked at.
    """
    mode = os.stat(path).st_mode
    for is_one, what in _OTHERS:
        if is_one(mode):
            raise UserError(f'{what}, not a file')
