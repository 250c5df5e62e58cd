"""Sections of an option file that nobody has checked yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from b2b_basicsr.errors import UserError


def section_at(opt: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A section, empty if it is not there.

    Args:
        opt: as YAML gives it.
        key: with colons, ``datasets:train`` say.

    Raises:
        UserError: if something else stands in its place.
    """
    section: Any = opt
    names = key.split(':')
    for depth, name in enumerate(names, start=1):
        section = section.get(name) or {}
        if not isinstance(section, Mapping):
            raise UserError(f'{":".join(names[:depth])}: {section!r} is no section; write its keys below it')
    return section
