"""The files of weights that an option file names: are they there?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from b2b_basicsr.bench.timing_table import Table, Value
from b2b_basicsr.errors import UserError
from b2b_basicsr.info.option_sections import section_at


def weights_table(opt: Mapping[str, Any]) -> Table | None:
    """Every file of weights of an option file, and whether it is there; ``None`` if it names none.

    Args:
        opt: as YAML gives it.

    Raises:
        UserError: if ``path`` or ``train`` is no section, or one of the files is no text.
    """
    rows = [_row(key, value) for key, value in _named(opt).items()]
    return Table('Weights', rows) if rows else None


def _named(opt: Mapping[str, Any]) -> dict[str, Any]:
    paths, train = section_at(opt, 'path'), section_at(opt, 'train')
    named = {f'path:{key}': value for key, value in paths.items() if str(key).startswith('pretrain_network_')}
    if paths.get('resume_state') is not None:
        named['path:resume_state'] = paths['resume_state']
    if 'vgg_weights' in train:
        named['train:vgg_weights'] = train['vgg_weights']
    return named


def _row(key: str, value: Any) -> dict[str, Value]:
    if value is not None and not isinstance(value, str):
        raise UserError(f'{key}: {value!r} is no path; give a file, or ~')
    return {'option': key, 'file': value or '~', 'state': _state(key, value)}


def _state(key: str, value: str | None) -> str:
    if not value:
        return 'none given'
    if key == 'train:vgg_weights' and value == 'download':
        return 'downloaded when needed'
    file = Path(value).expanduser()
    if file.is_file():
        return f'there, {file.stat().st_size / 2**20:.1f} MiB'
    return 'missing' if not file.exists() else 'no file'
