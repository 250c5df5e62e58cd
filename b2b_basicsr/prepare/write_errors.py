"""What to tell a user whose result cannot be written."""

from __future__ import annotations

import errno
from pathlib import Path

from b2b_basicsr.errors import UserError


def cannot_write(out: Path, cause: OSError) -> UserError:
    """The line that says why, and how to mend it.

    Args:
        out: what was to be written, as the user knows it.
        cause: what the system said.
    """
    if cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return UserError(
            f'{out}: the disk is full, or a limit is reached ({cause.strerror}); free space or give another -o'
        )
    where = f' at {cause.filename}' if cause.filename else ''
    return UserError(f'{out}: cannot be written{where} ({cause.strerror or cause}); mend that or give another -o')
