from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.link_or_copy import link_or_copy


@pytest.mark.parametrize('refused', [False, True])
def test_a_file_is_linked_or_copied_and_nothing_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    if refused:
        monkeypatch.setattr(os, 'link', refuse)
    one, two, three = (tmp_path / name for name in 'abc')
    one.write_bytes(b'one')
    assert link_or_copy(one, two) is refused
    assert one.samefile(two) is not refused
    assert two.read_bytes() == b'one'
    three.write_bytes(b'three')
    with pytest.raises(FileExistsError):
        link_or_copy(one, three)
    assert three.read_bytes() == b'three'
    (tmp_path / 'link').symlink_to(one)
    with pytest.raises(UserError, match='has become a link'):
        link_or_copy(tmp_path / 'link', tmp_path / 'd')
