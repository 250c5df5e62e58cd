"""Names and constructor arguments of an option file, against BasicSR's registries."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from b2b_basicsr.errors import OptionError, UserError
from b2b_basicsr.options.section import shown


def near_miss(key: str, known: Iterable[str]) -> bool:
    """Whether a key that is unknown is almost a known one, and so a mistake; any other may be somebody's own."""
    return bool(difflib.get_close_matches(key, list(known), n=1, cutoff=0.8))


def registered(registry: Any, option_key: str, name: Any) -> Any:
    """What stands in a registry under a name.

    Raises:
        UserError: if nothing does, with the nearest name.
    """
    if not option_key.endswith('model_type'):
        option_key += ':type'
    if not isinstance(name, str):
        raise OptionError(option_key, f'{shown(name)} is no name; give one that is registered')
    for known in (name, f'{name}_basicsr'):
        if known in registry:
            return registry._obj_map[known]
    near = difflib.get_close_matches(name, [key.removesuffix('_basicsr') for key, _ in registry], n=1)
    raise OptionError(option_key, f'{shown(name)} is not registered' + (f'; did you mean {near[0]}?' if near else ''))


def construct(kind: Any, option_key: str, arguments: Mapping[str, Any]) -> Any:
    """Builds a class of the registries from a section's keys, as BasicSR will.

    Raises:
        UserError: if the keys or their values are not the class's.
    """
    try:
        inspect.signature(kind).bind(**arguments)
        return kind(**deepcopy(dict(arguments)))
    except UserError as error:
        raise OptionError(option_key, str(error)) from None
    except Exception as cause:  # whatever somebody else's class does with values that it does not expect
        raise OptionError(option_key, f'{kind.__name__}: {" ".join(str(cause).split())[:200]}') from cause
