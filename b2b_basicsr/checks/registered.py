"""Names and constructor arguments of an option file, against BasicSR's registries."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from b2b_basicsr.errors import UserError


def refuse_near_misses(prefix: str, section: Mapping[str, Any], known: Sequence[str]) -> None:
    """In sections that BasicSR reads, a key that is almost a known one is a mistake; any other is somebody's own."""
    for key in section:
        near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.8)
        if key not in known and near:
            raise UserError(f'{prefix}{key}: unknown key; did you mean {near[0]}?')


def registered(registry: Any, option_key: str, name: Any) -> Any:
    """What stands in a registry under a name.

    Raises:
        UserError: if nothing does, with the nearest name.
    """
    if not option_key.endswith('model_type'):
        option_key += ':type'
    if not isinstance(name, str):
        raise UserError(f'{option_key}: {name!r} is no name; give one that is registered')
    for known in (name, f'{name}_basicsr'):
        if known in registry:
            return registry._obj_map[known]
    near = difflib.get_close_matches(name, [key.removesuffix('_basicsr') for key, _ in registry], n=1)
    raise UserError(f'{option_key}: {name!r} is not registered' + (f'; did you mean {near[0]}?' if near else ''))


def construct(kind: Any, option_key: str, arguments: Mapping[str, Any]) -> Any:
    """Builds a class of the registries from a section's keys, as BasicSR will.

    Raises:
        UserError: if the keys or their values are not the class's.
    """
    try:
        inspect.signature(kind).bind(**arguments)
        return kind(**deepcopy(dict(arguments)))
    except UserError as error:
        raise UserError(f'{option_key}: {error}') from None
    except (TypeError, ValueError, NotImplementedError, AssertionError, KeyError) as cause:
        raise UserError(f'{option_key}: {kind.__name__}: {" ".join(str(cause).split())}') from cause
