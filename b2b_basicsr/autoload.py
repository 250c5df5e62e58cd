"""Registers this package in ``basicsr`` at the end of its import, and mends what keeps it from running.

A finder in ``sys.meta_path`` answers for the top-level name ``basicsr`` alone, and is gone once that is imported. The
spec of ``basicsr`` is handed on as the other finders give it; only the ``exec_module`` of its own loader is shadowed,
on the instance, until it has run. No loader class of ours stands between, so ``importlib.util.find_spec``, ``pkgutil``,
``importlib.resources``, ``runpy`` and pickling see what they would see without us.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from threading import get_ident
from types import ModuleType

_logger = logging.getLogger('b2b_basicsr')


class HostFinder:
    """A finder for the top-level name ``basicsr`` alone: has the other finders find it, and watches its execution."""

    def __init__(self) -> None:
        self._searching: set[int] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of ``basicsr``, its execution watched; ``None`` for every other name."""
        if fullname != 'basicsr':
            return None
        thread = get_ident()
        if thread in self._searching:  # another package hooks basicsr as we do, and asks all finders, us included
            return None
        self._searching.add(thread)
        try:
            spec = self._spec_of_the_others(fullname, path, target)
        finally:
            self._searching.discard(thread)
        return spec if spec is not None and _watch(spec.loader) else None

    def _spec_of_the_others(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            find_spec = getattr(finder, 'find_spec', None)
            if finder is self or find_spec is None:
                continue
            spec: ModuleSpec | None = find_spec(fullname, path, target)
            if spec is not None:
                return spec
        return None


FINDER = HostFinder()


def install() -> None:
    """Register in ``basicsr``: now, if it has been imported, else as soon as it will be. Idempotent."""
    if 'basicsr' in sys.modules:
        join(sys.modules['basicsr'])
    elif FINDER not in sys.meta_path:
        sys.meta_path.insert(0, FINDER)


def join(module: ModuleType) -> None:
    """Make the mends and register, in ``basicsr`` as it has been imported.

    A plugin must not break its host: what goes wrong here is one warning. An old fork of BasicSR without registries
    (NAFNet's, Restormer's) is left alone.
    """
    if not _has_registries(module):
        _logger.warning(
            'b2b_basicsr stays out of %s: an old fork of BasicSR without registries (it needs basicsr >= 1.4.2)',
            getattr(module, '__file__', None) or module,
        )
        return
    try:
        from b2b_basicsr import compat

        compat.apply_after_import()
    except Exception as error:
        _tell_failure("mend basicsr's training script", error)
    try:
        from b2b_basicsr.registration import register

        register()
    except Exception as error:
        _tell_failure('register its networks, data sets, losses and models in basicsr', error)


def _watch(loader: Loader | None) -> bool:
    """Shadow ``loader.exec_module``; ``False`` where that cannot be done."""
    own_attributes = getattr(loader, '__dict__', None)
    if loader is None or isinstance(loader, type) or own_attributes is None or not hasattr(loader, 'exec_module'):
        return False
    if not isinstance(own_attributes.get('exec_module'), _WatchedExec):
        own_attributes['exec_module'] = _WatchedExec(loader)
    return True


class _WatchedExec:
    """Stands in for the ``exec_module`` of one loader until ``basicsr`` has been executed."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._exec_module = loader.exec_module

    def __call__(self, module: ModuleType) -> None:
        if module.__name__ != 'basicsr':  # a zip file's loader serves all the modules in it
            self._exec_module(module)
            return
        if _has_registries(module):
            _mend_before_import()
        self._exec_module(module)
        # Only now: should the import fail, say for a missing dependency, the next try is watched again.
        vars(self._loader).pop('exec_module', None)
        # The list is replaced, not changed: another thread may be walking along it at this moment, and would skip the
        # finder after ours.
        sys.meta_path = [finder for finder in sys.meta_path if finder is not FINDER]
        join(module)


def _has_registries(module: ModuleType) -> bool:
    """Tell BasicSR from the old forks of it, which have no registries, by its files alone."""
    folders = getattr(module, '__path__', ())
    return any(PathFinder.find_spec('registry', [f'{folder}/utils']) is not None for folder in folders)


def _mend_before_import() -> None:
    try:
        from b2b_basicsr import compat

        compat.apply_before_import()
    except Exception as error:
        _tell_failure('mend what keeps basicsr from being imported', error)


def _tell_failure(what: str, error: Exception) -> None:
    _logger.warning(
        'b2b_basicsr could not %s: %s: %s. basicsr works without it; the whole traceback: '
        'python -c "from b2b_basicsr.registration import register; register()"',
        what,
        type(error).__name__,
        error,
    )
