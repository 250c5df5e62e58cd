"""``torch.compile``: what it needs, and networks compiled in place."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sysconfig
from pathlib import Path
from typing import Any

from torch import nn

_SIZES = 64
"""For how many sizes of picture, with gradients and without, a class of networks is compiled before it is given up."""


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


def compile_in_place(net: nn.Module, same_random_numbers: bool = False) -> None:
    """Compiles what a network does when it is called; its ``forward``, and the keys of its state, remain as they were.

    Args:
        net: called with pictures of few sizes, since each size is compiled.
        same_random_numbers: draw them as without compilation, so that dropout of two graphs is the same; slower.
    """
    dynamo: Any = importlib.import_module('torch._dynamo')
    # D's three scales, with its weights' gradients and without, come near torch's own limit, beyond which it falls back
    # in silence; and it counts for all networks of a class in the process.
    name = 'recompile_limit' if hasattr(dynamo.config, 'recompile_limit') else 'cache_size_limit'
    setattr(dynamo.config, name, max(_SIZES, getattr(dynamo.config, name)))
    options: dict[str, Any] = {'options': {'fallback_random': True}} if same_random_numbers else {}
    net.compile(dynamic=False, **options)
