"""Replaces a function of basicsr wherever basicsr has bound it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def rebind(original: Callable[..., Any], replacement: Callable[..., Any]) -> None:
    """Let every module of basicsr that holds ``original`` under some name hold ``replacement`` under it.

    ``from x import f`` copies the binding, and ``basicsr/__init__.py`` star-imports its own scripts, so that one
    function of ``basicsr.utils`` is also in ``basicsr``, ``basicsr.train`` and ``basicsr.test``.
    """
    for module_name, module in list(sys.modules.items()):
        if module_name.split('.')[0] != 'basicsr' or module is None:
            continue
        namespace = vars(module)
        for name in [name for name, value in namespace.items() if value is original]:
            namespace[name] = replacement
