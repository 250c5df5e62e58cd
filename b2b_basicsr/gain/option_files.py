"""Option files made of shipped ones: changed at some keys, and placed at other folders."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import yaml

from b2b_basicsr.gain.recipes import DELETE, Changes
from b2b_basicsr.shipped_options import shipped_option_files

Options = dict[str, Any]


def shipped(stage: str) -> Options:
    """What the shipped option file of a stage says, ``gain_STAGE.yml``.

    Args:
        stage: ``deblur``, ``kernel``, ``translate``, ``oracle``, ``score`` or ``score_oracle``.

    Raises:
        FileNotFoundError: if the installation lacks it.
    """
    return copy.deepcopy(_read_once(f'gain_{stage}.yml'))


@cache
def _read_once(name: str) -> Options:
    file = next((path for path in shipped_option_files() if path.name == name), None)
    if file is None:
        raise FileNotFoundError(f'{name}: not among the option files of the package; install b2b-basicsr again')
    options: Options = yaml.safe_load(file.read_text(encoding='utf-8'))
    return options


def changed(options: Mapping[str, Any], changes: Changes) -> Options:
    """A copy with other values at some keys.

    Args:
        options: as YAML gives them.
        changes: key with its sections (``train:total_iter``) -> value, or ``DELETE``, which takes the key away. A
            section that is not there, or is ``None``, is made.

    Raises:
        ValueError: if a key leads through a value that is no section.

    Example:
        >>> changed({'train': {'lr': 5, 'gp_opt': None}}, {'train:gp_opt:weight': 1, 'train:lr': DELETE})
        {'train': {'gp_opt': {'weight': 1}}}
    """
    result = copy.deepcopy(dict(options))
    for key, value in changes.items():
        *sections, last = key.split(':')
        section = result
        for name in sections:
            if section.get(name) is None:
                if value is DELETE:
                    break
                section[name] = {}
            section = section[name]
            if not isinstance(section, dict):
                raise ValueError(f'{key}: {name} is no section')
        else:
            if value is DELETE:
                section.pop(last, None)
            else:
                section[last] = copy.deepcopy(value)
    return result


def placed(options: Mapping[str, Any], data: Callable[[str], str], experiment: Callable[[str], str]) -> Options:
    """A copy whose paths below ``data/`` and ``experiments/`` lead to other folders in them.

    Args:
        options: as YAML gives them.
        data: ``X`` of a path ``data/X/...`` -> what stands in its place.
        experiment: the same for ``experiments/X/...``.

    Example:
        >>> placed({'dataroot_gt': 'data/shake/gt', 'gt_size': 96}, lambda name: 'defocus', str)
        {'dataroot_gt': 'data/defocus/gt', 'gt_size': 96}
    """
    roots = {'data': data, 'experiments': experiment}

    def place(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: place(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [place(inner) for inner in value]
        if isinstance(value, str) and value.partition('/')[0] in roots:
            root, name, *rest = PurePosixPath(value).parts
            return str(PurePosixPath(root, roots[root](name), *rest))
        return value

    return {key: place(value) for key, value in options.items()}


class _Dumper(yaml.SafeDumper):
    """Writes ``~`` for nothing, as the shipped files do, and sections out in full."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(type(None), lambda dumper, _: dumper.represent_scalar('tag:yaml.org,2002:null', '~'))


def as_text(options: Mapping[str, Any]) -> str:
    """Options as the text of an option file, keys in their order.

    Example:
        >>> print(as_text({'name': 'a', 'train': {'lr': 1e-8, 'periods': (5,), 'gp_opt': None}}), end='')
        name: a
        train:
          lr: 1.0e-08
          periods: [5]
          gp_opt: ~
    """
    plain = _as_lists(options)
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


def _as_lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_lists(inner) for key, inner in value.items()}
    return [_as_lists(inner) for inner in value] if isinstance(value, list | tuple) else value
