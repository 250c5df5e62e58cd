"""Puts everything this package has into BasicSR's registries."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import RLock
from typing import Any

PACKAGES = (
    'b2b_basicsr.archs',
    'b2b_basicsr.data',
    'b2b_basicsr.losses',
    'b2b_basicsr.metrics',
    'b2b_basicsr.models',
    'b2b_basicsr.checks',
)
"""The packages whose modules register themselves, by BasicSR's own decorators and ours, when they are imported."""

_lock = RLock()
_state = {'done': False, 'in progress': False}


def register() -> None:
    """Import the packages that register themselves in ``basicsr``. Idempotent.

    A name that another plugin has taken before us does not stop the registration: ours goes under ``NAME_b2b``, with a
    warning. (Names that are common to many, as ``NAFNet``, we register under BasicSR's fall-back suffix
    ``NAME_basicsr`` in the first place, so that another's own ``NAFNet`` wins, whoever comes first.)

    Raises:
        ImportError: ``basicsr``, or something that our modules need, is not installed.
        Exception: whatever else one of our modules raises when it is imported.
    """
    import_module('basicsr')  # before the lock: another thread's import of basicsr may be waiting for it in register()
    with _lock:
        if _state['done'] or _state['in progress']:
            return
        _state['in progress'] = True
        try:
            with _taken_names_step_aside():
                for package in PACKAGES:
                    import_module(package)
            _state['done'] = True
        finally:
            _state['in progress'] = False


def is_ours(registry: Any, name: Any) -> bool:
    """Tell whether ``name`` stands for one of our classes or functions in a registry of BasicSR's.

    Args:
        registry: One of ``basicsr.utils.registry``'s registries.
        name: What an option file gives as ``type`` or ``model_type``; anything but a known name is not ours.
    """
    if not isinstance(name, str):
        return False
    for key in (name, f'{name}_basicsr'):
        if key in registry:
            return is_our_object(registry.get(key))
    return False


def is_our_object(obj: Any) -> bool:
    """Tell whether a class or function is defined in this package."""
    return str(getattr(obj, '__module__', '')).split('.')[0] == __name__.split('.')[0]


@contextmanager
def _taken_names_step_aside() -> Iterator[None]:
    """While our modules are imported, a name already taken is no ``AssertionError``.

    BasicSR's registry asserts that a name is new. For our objects alone, and for this while, a name that another
    plugin holds makes ours ``NAME_b2b``; a name held by the same object of an earlier import that failed half-way is
    replaced.
    """
    from basicsr.utils.registry import Registry

    original = Registry._do_register

    def do_register(self: Any, name: str, obj: Any, suffix: str | None = None) -> None:
        key = f'{name}_{suffix}' if isinstance(suffix, str) else name
        present = dict(iter(self)).get(key)
        if present is None or not is_our_object(obj):
            original(self, name, obj, suffix)
        elif is_our_object(present) and present.__qualname__ == obj.__qualname__:
            self._obj_map[key] = obj
        else:
            original(self, name, obj, 'b2b')
            logging.getLogger('b2b_basicsr').warning(
                "the name '%s' is taken in BasicSR's %s registry by %s.%s; b2b_basicsr's own is there as '%s_b2b'",
                key,
                self._name,
                present.__module__,
                present.__qualname__,
                name,
            )

    Registry._do_register = do_register
    try:
        yield
    finally:
        if Registry._do_register is do_register:
            Registry._do_register = original
