"""An option file as it is written, read with BasicSR's reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from b2b_basicsr.errors import UserError


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

    try:
        with open(path) as file:
            opt = yaml.load(file, Loader=ordered_yaml()[0])
    except OSError as error:
        raise UserError(f'{path}: the option file cannot be read ({error.strerror or error}): check {flag}') from error
    except UnicodeDecodeError as error:
        raise UserError(f'{path}: the option file is not a text file: check {flag}') from error
    except yaml.YAMLError as error:
        raise UserError(_yaml_message(path, error)) from error
    if not isinstance(opt, dict):
        raise UserError(f'{path}: the option file holds no options (KEY: VALUE lines): check {flag}')
    return opt


def _yaml_message(path: str | Path, error: Exception) -> str:
    mark = getattr(error, 'problem_mark', None)
    where = f'{path}:{mark.line + 1}:{mark.column + 1}' if mark is not None else path
    problem = getattr(error, 'problem', None) or str(error)
    return f'{where}: the option file is not valid YAML: {problem}'


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
    *outer, last = keys.strip().split(':')
    section: Any = opt
    for depth, key in enumerate(outer, start=1):
        section = section.get(key)
        if not isinstance(section, dict):
            raise UserError(
                f'--force_yml {entry}: {path} has no section {":".join(outer[:depth])}; sections are added in the file'
            )
    try:
        section[last] = _postprocess_yml_value(values[0].strip())
    except Exception as error:  # it evaluates lists
        raise UserError(f'--force_yml {entry}: the value cannot be understood ({error})') from error
