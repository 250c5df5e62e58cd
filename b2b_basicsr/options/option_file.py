"""An option file as it is written, read with BasicSR's reader."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from b2b_basicsr.errors import UserError
from b2b_basicsr.options.section import joined

_DEEPEST = 50
_MOST_VALUES = 100_000
_CODE = ('python/object', 'python/name', 'python/module')


def read_option_file(path: str | Path, flag: str = '-opt') -> dict[str, Any]:
    """The options as YAML gives them, without BasicSR's additions.

    Args:
        path: the file.
        flag: what it was given as, for messages.

    Raises:
        UserError: if the file cannot be read, or holds no options.
    """
    import yaml
    from basicsr.utils.options import ordered_yaml

    loader = ordered_yaml()[0]
    try:
        with open(path) as file:
            text = file.read()
        _refuse_hostile(path, yaml.parse(text, Loader=loader))
        opt = yaml.load(text, Loader=loader)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f'{path}: the option file cannot be read ({error.strerror or error}): check {flag}') from error
    except UnicodeDecodeError as error:
        raise UserError(f'{path}: the option file is not a text file: check {flag}') from error
    except yaml.YAMLError as error:
        raise UserError(_yaml_message(path, error)) from error
    except (
        ValueError,
        TypeError,
        LookupError,
        ArithmeticError,
        AttributeError,
    ) as error:  # of a tag, as !!float or !!timestamp
        raise UserError(f'{path}: the option file holds a value that is none: {_in_one_line(error)}') from error
    if not isinstance(opt, dict):
        raise UserError(f'{path}: the option file holds no options (KEY: VALUE lines): check {flag}')
    _refuse_odd_keys(path, opt)
    return opt


def _refuse_hostile(path: str | Path, events: Iterable[Any]) -> None:
    """Refuses what would run code, or end the reader: BasicSR's is not a safe one.

    Raises:
        UserError: naming the line.
    """
    import yaml

    sizes: dict[str, int] = {}  # of what has an anchor, all aliases within it written out
    open_ones: list[tuple[str | None, int]] = [(None, 0)]
    for event in events:
        where = f'{path}:{event.start_mark.line + 1}'
        tag = getattr(event, 'tag', None) or ''
        if any(kind in tag for kind in _CODE):
            raise UserError(f'{where}: the tag {tag!a} could run code; options are numbers, texts, lists and sections')
        if isinstance(event, yaml.CollectionStartEvent):
            open_ones.append((event.anchor, 0))
            size = 0
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_ones.pop()
            size += 1
            sizes[anchor or ''] = size
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in {anchor for anchor, _ in open_ones}:
                raise UserError(f'{where}: the alias *{event.anchor} stands within what it is an alias of')
            size = sizes.get(event.anchor or '', 1)
        else:
            size = int(isinstance(event, yaml.ScalarEvent))
        outer, before = open_ones[-1]
        open_ones[-1] = (outer, before + size)
        if len(open_ones) > _DEEPEST:
            raise UserError(f'{where}: more than {_DEEPEST} sections within each other; options have a few')
        if before + size > _MOST_VALUES:
            raise UserError(
                f'{where}: more than {_MOST_VALUES} values, aliases (*NAME) written out; options have a few'
            )


def _refuse_odd_keys(path: str | Path, section: Any, keys: tuple[str, ...] = ()) -> None:
    """Refuses keys that are no texts, over which BasicSR falls when it logs the options.

    Raises:
        UserError: naming the key.
    """
    if isinstance(section, dict):
        for key, value in section.items():
            if not isinstance(key, str):
                raise UserError(f'{path}: {joined("", *keys, key)}: must be a text, as all keys: write it in quotes')
            _refuse_odd_keys(path, value, (*keys, key))


def _yaml_message(path: str | Path, error: Exception) -> str:
    mark = getattr(error, 'problem_mark', None)
    where = f'{path}:{mark.line + 1}:{mark.column + 1}' if mark is not None else path
    problem = getattr(error, 'problem', None) or str(error)
    if 'tag:yaml.org,2002:merge' in problem:
        return (
            f'{where}: BasicSR does not read merge keys (<<): write the keys out, or give a whole section by its alias '
            '(optim_d: *adam)'
        )
    return f'{where}: the option file is not valid YAML: {_in_one_line(problem)}'


def _in_one_line(problem: object) -> str:
    return ' '.join(str(problem).split())[:200]


def force_option(opt: dict[str, Any], entry: str, path: str | Path) -> None:
    """Set in ``opt`` what an entry of ``--force_yml`` says, as BasicSR does.

    Args:
        opt: the options; changed in place.
        entry: ``KEY=VALUE`` or ``SECTION:KEY=VALUE``.
        path: of their file, for messages.

    Raises:
        UserError: if the entry is none, or names a section that is not there.
    """
    from basicsr.utils.options import _postprocess_yml_value

    keys, *values = entry.split('=')
    if len(values) != 1 or not keys.strip():
        raise UserError(f'--force_yml {entry}: must be KEY=VALUE or SECTION:KEY=VALUE, without blanks')
    if '"' in keys or '\\' in keys:
        raise UserError(f'--force_yml {entry}: keys hold neither " nor \\')
    *outer, last = keys.strip().split(':')
    section: Any = opt
    for depth, key in enumerate(outer, start=1):
        section = section.get(key)
        if not isinstance(section, dict):
            raise UserError(
                f'--force_yml {entry}: {path} has no section {":".join(outer[:depth])}; sections are added in the file'
            )
    value = values[0].strip()
    try:
        if value.startswith('['):
            ast.literal_eval(value)  # lists are evaluated below, whatever is in them
        section[last] = _postprocess_yml_value(value)
    except Exception as error:
        raise UserError(f'--force_yml {entry}: the value cannot be understood ({error})') from error


def unshared(options: Any) -> Any:
    """A copy in which each section is one of its own.

    YAML's aliases (``optim_d: *adam``) make several names of one section, and BasicSR takes keys out of sections.

    Example:
        >>> adam = {'type': 'Adam', 'betas': [0.9, 0.99]}
        >>> train = unshared({'optim_g': adam, 'optim_d': adam})
        >>> train['optim_g'].pop('type'), train['optim_d']['type']
        ('Adam', 'Adam')
    """
    if isinstance(options, dict):
        return type(options)((key, unshared(value)) for key, value in options.items())
    return [unshared(value) for value in options] if isinstance(options, list) else options
