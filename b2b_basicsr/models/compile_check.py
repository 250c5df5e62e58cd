"""Whether ``torch.compile`` can work here."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sysconfig
from pathlib import Path


def missing_for_compile(device_type: str) -> str | None:
    """What ``torch.compile`` needs and does not find, for a message; ``None`` where all is there.

    It finds out at the first step, minutes later, and says so in a page of traceback.

    Args:
        device_type: ``'cpu'``, for which it builds C++, or ``'cuda'``, for which triton builds C.
    """
    names = ('CXX', ('g++', 'clang++', 'c++')) if device_type == 'cpu' else ('CC', ('gcc', 'clang', 'cc'))
    variable, compilers = names
    wanted = os.environ.get(variable)
    if not any(shutil.which(name) for name in ((wanted,) if wanted else compilers)):
        return f'a compiler ({wanted or " or ".join(compilers)}; Debian: apt-get install g++)'
    header = Path(sysconfig.get_path('include'), 'Python.h')
    if not header.is_file():
        return f"Python's headers ({header}; Debian: apt-get install python3-dev)"
    if device_type == 'cuda' and importlib.util.find_spec('triton') is None:
        return 'triton (pip install triton)'
    return None
