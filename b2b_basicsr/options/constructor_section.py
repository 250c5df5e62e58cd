"""The option section of a class or function that is built from its keys: type hints and docstring say what it takes."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import Field, create_model

from b2b_basicsr.options.section import Flag, Number, OptionSection, Text, Whole

_STRICT: dict[Any, Any] = {int: Whole, float: Number, bool: Flag, str: Text}


@cache
def constructor_section(kind: Callable[..., Any], leave_out: tuple[str, ...] = ()) -> type[OptionSection]:
    """The type of the section whose ``type`` names a class or function.

    A range is part of a hint, as in ``num_res: Annotated[int, Field(ge=1)]``; a default may be a tuple where the hint
    is a sequence, and stands for a list.

    Args:
        kind: a class, or a function; what its docstring says under ``Args`` describes the keys.
        leave_out: arguments that are no keys.

    Raises:
        TypeError: if an argument has no hint, or one that no option can have.
    """
    called = kind.__init__ if isinstance(kind, type) else kind  # type: ignore[misc]
    hints = get_type_hints(called, include_extras=True)
    said = argument_descriptions(kind)
    fields: dict[str, Any] = {'type': (Literal[kind.__name__], Field(description='`' + kind.__name__ + '`'))}
    for name in constructor_keys(kind, leave_out):
        parameter = inspect.signature(kind).parameters[name]
        if name not in hints:
            raise TypeError(f'{kind.__name__}: {name} has no type hint')
        required = parameter.default is inspect.Parameter.empty
        default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
        fields[name] = (_option_type(hints[name]), Field(... if required else default, description=said.get(name)))
    return create_model(kind.__name__, __base__=OptionSection, __doc__=_first_sentences(kind), **fields)


def constructor_keys(kind: Callable[..., Any], leave_out: Iterable[str] = ()) -> list[str]:
    """The named arguments of a class or function."""
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    parameters = inspect.signature(kind).parameters
    return [name for name, each in parameters.items() if each.kind not in variable and name not in leave_out]


def argument_descriptions(kind: Callable[..., Any]) -> dict[str, str]:
    """What a Google docstring says of each argument, in one line."""
    _, _, after = inspect.cleandoc(kind.__doc__ or '').partition('\nArgs:\n')
    lines = after.split('\n\n')[0].splitlines()
    said: dict[str, str] = {}
    name = ''
    for line in lines:
        if found := re.match(r' {4}(\w+): (.*)', line):
            name, text = found.groups()
            said[name] = text
        elif name:
            said[name] += f' {line.strip()}'
    return {key: plain_text(text) for key, text in said.items()}


def plain_text(text: str) -> str:
    """A docstring's text without reStructuredText's marks."""
    text = re.sub(r':\w+:`~?(?:[\w.]+\.)?(\w+)`', r'`\1`', text)
    return ' '.join(text.replace('``', '`').split())


def _first_sentences(kind: Callable[..., Any]) -> str:
    return plain_text(inspect.cleandoc(kind.__doc__ or '').split('\n\n')[0])


def _option_type(hint: Any) -> Any:
    """A hint of a constructor as the strict type of an option."""
    if hint in _STRICT:
        return _STRICT[hint]
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return Annotated.__class_getitem__((_option_type(inner[0]), *hint.__metadata__))
    if origin in (Union, types.UnionType):
        return Union[tuple(_option_type(part) for part in inner)]  # noqa: UP007  (made of as many as there are)
    if origin in (list, Sequence):
        return list[_option_type(inner[0])]  # type: ignore[misc]
    if origin is Literal or hint is type(None):
        return hint
    raise TypeError(f'{hint} is no type of an option')
