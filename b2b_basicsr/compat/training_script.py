"""A way into the functions of BasicSR's training script, wherever it runs.

``basicsr/train.py`` defines ``load_resume_state`` and ``create_train_val_dataloader`` itself. Run as a script, or by
``python -m basicsr.train``, it is the module ``__main__``, which defines its own copies after ``basicsr``, and with it
our hook, has been imported. But its first act is to call ``basicsr``'s ``parse_options``, so that is where the
functions are wrapped: in the namespace from which ``parse_options`` is called for a training.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import FrameType, FunctionType
from typing import Any

from b2b_basicsr.compat.rebinding import rebind

Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]

SCRIPT_FUNCTIONS = ('load_resume_state', 'create_train_val_dataloader')
"""By which the script is known. It has ``init_tb_loggers`` and ``build_model``, too; who wraps them can do without."""

_wrappers: list[tuple[str, Wrapper]] = []
_WRAPPED = '__b2b_basicsr_wrapped__'  # in the namespace of a script whose functions are wrapped


def wrap_script_function(name: str, wrapper: Wrapper) -> None:
    """Have a function of the training script wrapped before it is called.

    Args:
        name: ``'load_resume_state'``, ``'init_tb_loggers'``, ``'build_model'`` (each takes ``opt``) or
            ``'create_train_val_dataloader'`` (takes ``opt, logger``). Another project's script may lack the second and
            the third; then nothing is wrapped.
        wrapper: Takes the script's function, as wrapped so far, and returns what stands in for it: a function of its
            own, or the one it was given.
    """
    if not _wrappers:
        wrap_parse_options(_wrapping_the_caller)
    _wrappers.append((name, wrapper))


def script_function(name: str) -> Callable[..., Any]:
    """BasicSR's own function of that name in the training script, wrapped as it is in a training."""
    from basicsr import train

    _wrap_in(vars(train))
    function: Callable[..., Any] = getattr(train, name)
    return function


def wrap_parse_options(wrapper: Wrapper) -> None:
    """Wrap ``basicsr.utils.options.parse_options`` (takes ``root_path, is_train``) for all who call it from now on."""
    from basicsr.utils import options

    original = options.parse_options
    rebind(original, functools.wraps(original)(wrapper(original)))


def _wrapping_the_caller(parse_options: Callable[..., Any]) -> Callable[..., Any]:
    def parse(root_path: str, is_train: bool = True) -> Any:
        if is_train:
            namespace = _training_script_namespace()
            if namespace is not None:
                _wrap_in(namespace)
        return parse_options(root_path, is_train=is_train)

    return parse


def _training_script_namespace() -> dict[str, Any] | None:
    """Return the globals of the training script that is calling, if it is one that keeps to BasicSR's functions."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        namespace = frame.f_globals
        if frame.f_code.co_name == 'train_pipeline' and all(
            isinstance(namespace.get(name), FunctionType) for name in SCRIPT_FUNCTIONS
        ):
            return namespace
        frame = frame.f_back
    return None


def _wrap_in(namespace: dict[str, Any]) -> None:
    if namespace.get(_WRAPPED):
        return
    namespace[_WRAPPED] = True
    for name, wrapper in _wrappers:
        function = namespace.get(name)
        if not isinstance(function, FunctionType):
            continue
        stand_in = wrapper(function)
        if stand_in is not function:
            namespace[name] = functools.update_wrapper(stand_in, function)
