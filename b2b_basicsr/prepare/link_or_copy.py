"""A file put into a set without its bytes twice on the disk, if the file system allows that."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from b2b_basicsr.errors import UserError


def link_or_copy(existing: Path, new: Path) -> bool:
    """Hard-link a file, or copy it where the file system refuses.

    Args:
        existing: a plain file; a symbolic link is refused, as its hard link would break.
        new: must not be there.

    Returns:
        Whether it was copied.

    Raises:
        UserError: if ``existing`` is a symbolic link.
        FileExistsError: if ``new`` is there, perhaps by a name that the file system takes for the same.
        OSError: if it cannot be written.
    """
    if existing.is_symlink():  # replaced since it was listed
        raise UserError(f'{existing}: has become a link, which is not followed; leave the source alone meanwhile')
    try:
        os.link(existing, new)
    except FileExistsError:
        raise
    except OSError:
        with existing.open('rb') as source, new.open('xb') as target:
            shutil.copyfileobj(source, target, 1 << 20)
        return True
    return False
