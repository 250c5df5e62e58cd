"""What to tell a user when a training or a test cannot write what it made."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from basicsr.utils import sizeof_fmt

from b2b_basicsr.compat.resume_state import newest_whole_state
from b2b_basicsr.errors import UserError

_FULL = {
    errno.ENOSPC: 'the disk is full',
    errno.EDQUOT: 'your quota is used up',
    errno.EFBIG: 'a file there may not be so large',
}


def write_failure(opt: Mapping[str, Any], path: Path, cause: OSError) -> UserError:
    """The line that says why, what is kept, and how to go on.

    Args:
        opt: parsed options, of a training or a test.
        path: the file that was to be.
        cause: what the system said.
    """
    why, mend = _why(path, cause)
    if not opt['is_train']:
        return UserError(f'{path}: cannot be written: {why}; {mend}, and test again')
    state = last_whole_state(opt)
    if state is None:
        return UserError(f'{path}: cannot be written: {why}; no whole state was saved before: {mend}, and start again')
    return UserError(
        f'{path}: cannot be written: {why}; the last whole state is {state}: {mend}, and the same command with '
        '--auto_resume goes on from it'
    )


def _why(path: Path, cause: OSError) -> tuple[str, str]:
    there = next((folder for folder in path.absolute().parents if folder.is_dir()), Path('/'))
    if cause.errno in _FULL:
        return f'{_FULL[cause.errno]} ({cause.strerror}; {_room(there)} at {there})', 'make room'
    if cause.errno in (errno.ENOENT, errno.ESTALE, errno.ENODEV, errno.ENOTDIR):
        return f'its folder is gone ({cause.strerror}; {there} is there)', 'put it back'
    if cause.errno == errno.EROFS:
        return f'{there} can only be read ({cause.strerror})', 'have it mounted to be written'
    return str(cause.strerror or cause), 'mend that'


def _room(folder: Path) -> str:
    try:
        return f'{sizeof_fmt(shutil.disk_usage(folder).free)} free'
    except OSError:
        return 'the room left is unknown'


def last_whole_state(opt: Mapping[str, Any]) -> Path | None:
    """The newest state from which the training could go on, if there is one."""
    try:
        found = newest_whole_state(opt)
    except UserError:  # there are some, and none is whole
        return None
    return None if found is None else found[0]
