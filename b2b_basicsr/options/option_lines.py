"""Where in an option file a key stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from b2b_basicsr.errors import OptionError, ToldElsewhereError, UserError
from b2b_basicsr.options.section import READ_BY_YAML, joined

_KEY = re.compile(r'[A-Za-z_]\w*(?::[\w.\-]+)*(?=: )')


class OptionLines:
    """The lines of an option file's keys, and what ``--force_yml`` has put in their place.

    Args:
        path: the file.
        forced: entries of ``--force_yml``.
    """

    def __init__(self, path: str | Path, forced: Sequence[str] = ()) -> None:
        self._path = path
        self._forced = {entry.partition('=')[0].strip(): entry for entry in forced}
        self._root: Any = None

    def placed(self, error: UserError) -> UserError:
        """The error with file and line before its message, if that is about an option of the file.

        A key that is missing is told at its section.
        """
        if isinstance(error, ToldElsewhereError):
            return error
        key = error.option_key if isinstance(error, OptionError) else self._key_told(str(error))
        if key is None or str(error).startswith(f'{self._path}:'):
            return error
        for forced, entry in self._forced.items():
            if key == forced or key.startswith(f'{forced}:'):
                return UserError(f'--force_yml {entry}: {error}'.replace(READ_BY_YAML, '--force_yml reads'))
        line = self.line(key)
        return UserError(f'{self._path}:{line}: {error}' if line else f'{self._path}: {error}')

    def line(self, option_key: str) -> int | None:
        """The line, from 1, of a key, or of the innermost section around it that is there; ``None`` if none is."""
        found: int | None = None
        node, left = self._tree(), option_key.split(':') if option_key else []
        while left:
            inner = _inner(node, left)
            if inner is None:
                break
            key_node, node, used = inner
            found, left = key_node.start_mark.line + 1, left[used:]
        return found

    def refuse_duplicates(self) -> None:
        """Refuses a section that has a key twice, of which YAML keeps the last without a word.

        Raises:
            UserError: naming the key and both lines.
        """
        for keys, mapping in _mappings(self._tree()):
            lines: dict[tuple[str, str], int] = {}
            for key, _ in mapping.value:
                line, name = key.start_mark.line + 1, (key.tag, str(key.value))
                if name in lines:
                    raise UserError(
                        f'{self._path}:{line}: {joined("", *keys, key.value)}: is in line {lines[name]}, too, and YAML '
                        'would keep the last one without a word; take one of them out'
                    )
                lines[name] = line

    def _key_told(self, message: str) -> str | None:
        """The key that a message begins with, if it is one of this file's, or could be."""
        from b2b_basicsr.models.option_files import TOP_LEVEL_KEYS

        found = _KEY.match(message)
        key = found[0] if found is not None else ''
        return key if key.split(':')[0] in TOP_LEVEL_KEYS or (key and self.line(key) is not None) else None

    def _tree(self) -> Any:
        """The file's nodes; none where it cannot be read, which others tell."""
        import yaml
        from basicsr.utils.options import ordered_yaml

        if self._root is None:
            try:
                with open(self._path) as file:
                    self._root = yaml.compose(file, Loader=ordered_yaml()[0])
            except (OSError, UnicodeDecodeError, yaml.YAMLError):
                return None
        return self._root


_file_in_use: list[OptionLines] = []


def use_for_late_errors(path: str | Path, forced: Sequence[str] = ()) -> None:
    """From now on :func:`late_error_placed` looks into this option file."""
    _file_in_use[:] = [OptionLines(path, forced)]


def late_error_placed(error: UserError) -> UserError:
    """As :meth:`OptionLines.placed` of the option file that this process trains or tests with, if any."""
    return _file_in_use[0].placed(error) if _file_in_use else error


@contextmanager
def option_errors_placed(path: str | Path, forced: Sequence[str] = ()) -> Iterator[None]:
    """Within it, a ``UserError`` about an option says the file and the line of it.

    Args:
        path: the option file.
        forced: entries of ``--force_yml``.
    """
    try:
        yield
    except UserError as error:
        placed = OptionLines(path, forced).placed(error)
        if placed is error:
            raise
        raise placed from error.__cause__


def _inner(node: Any, names: Sequence[str]) -> tuple[Any, Any, int] | None:
    """The key's node and the value's that the first of ``names`` leads to, or the first ones: keys may hold colons."""
    import yaml

    if isinstance(node, yaml.SequenceNode) and names[0].isdecimal() and int(names[0]) < len(node.value):
        entry = node.value[int(names[0])]
        return entry, entry, 1
    if not isinstance(node, yaml.MappingNode):
        return None
    for used in range(1, len(names) + 1):
        for key, value in node.value:
            if joined('', key.value) == ':'.join(names[:used]):
                return key, value, used
    return None


def _mappings(root: Any) -> Iterator[tuple[list[str], Any]]:
    """Every mapping below a node, once, with the keys that lead to it."""
    import yaml

    seen: set[int] = set()
    waiting: list[tuple[list[str], Any]] = [([], root)]
    while waiting:
        keys, node = waiting.pop(0)
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield keys, node
            waiting += [([*keys, str(key.value)], value) for key, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += [([*keys, str(place)], entry) for place, entry in enumerate(node.value)]
