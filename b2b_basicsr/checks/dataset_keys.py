"""Which keys of its section a data set class reads that is somebody else's."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class KeysRead:
    """What a class's source tells."""

    keys: frozenset[str]
    """Those that it names."""
    are_all: bool
    """Whether it reads no others: it hands the section to nobody, and its source is there."""


def keys_read_by(kind: type[Any]) -> KeysRead:
    """The keys of its section that a data set class reads, by its source, and that of its classes beneath.

    Args:
        kind: its constructor's first argument is the section, as of all of BasicSR's.

    Example:
        >>> from basicsr.data.single_image_dataset import SingleImageDataset
        >>> {'dataroot_lq', 'meta_info_file'} <= keys_read_by(SingleImageDataset).keys
        True
    """
    found: set[str] = set()
    are_all = True
    for each in kind.__mro__:
        if each.__module__.split('.')[0] in ('builtins', 'torch', 'typing', 'abc'):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(each)))
        except (OSError, TypeError, SyntaxError):
            are_all = False
            continue
        keys, handed_on = _keys_in(tree)
        found |= keys
        are_all = are_all and not handed_on
    return KeysRead(frozenset(found), are_all)


def _keys_in(tree: ast.AST) -> tuple[set[str], bool]:
    """The keys that a class's source names, and whether it hands the section on."""
    above = {inner: node for node in ast.walk(tree) for inner in ast.iter_child_nodes(node)}
    name = _first_argument(tree)
    keys: set[str] = set()
    handed_on = False
    for node in ast.walk(tree):
        is_section = (isinstance(node, ast.Name) and node.id == name) or (
            isinstance(node, ast.Attribute) and node.attr == 'opt' and _is_self(node.value)
        )
        if not is_section or not isinstance(getattr(node, 'ctx', None), ast.Load):
            continue
        key = _key_at(node, above)
        if key is not None:
            keys.add(key)
        elif not _is_kept(node, above):
            handed_on = True
    return keys, handed_on


def _first_argument(tree: ast.AST) -> str:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == '__init__' and len(node.args.args) > 1:
            return node.args.args[1].arg
    return 'opt'


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == 'self'


def _key_at(node: ast.AST, above: dict[ast.AST, ast.AST]) -> str | None:
    """The key of ``opt['KEY']``, ``opt.get('KEY')`` and ``'KEY' in opt``."""
    parent = above[node]
    named: ast.AST | None = None
    if isinstance(parent, ast.Subscript) and parent.value is node:
        named = parent.slice
    elif isinstance(parent, ast.Compare) and len(parent.ops) == 1 and isinstance(parent.ops[0], ast.In | ast.NotIn):
        named = parent.left
    elif isinstance(parent, ast.Attribute) and parent.attr in ('get', 'pop', 'setdefault'):
        call = above[parent]
        named = call.args[0] if isinstance(call, ast.Call) and call.func is parent and call.args else None
    return named.value if isinstance(named, ast.Constant) and isinstance(named.value, str) else None


def _is_kept(node: ast.AST, above: dict[ast.AST, ast.AST]) -> bool:
    """Whether it is ``self.opt = opt`` or ``super().__init__(opt)``, which are looked at as well."""
    parent = above[node]
    if isinstance(parent, ast.Assign):
        return all(isinstance(each, ast.Attribute) and each.attr == 'opt' for each in parent.targets)
    is_call = isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute)
    return is_call and parent.func.attr == '__init__'  # type: ignore[attr-defined]
