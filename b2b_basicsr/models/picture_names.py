"""Names for saved validation pictures that do not collide."""

from __future__ import annotations

from pathlib import Path, PurePosixPath


class PictureNames:
    """Gives each picture of a validation set a relative path without extension, its own.

    BasicSR names saved pictures by the file's base name alone, so pictures of the same name in different folders
    overwrite each other. Here the folders below the set's root are kept, and the extension joins the name where two
    pictures differ in nothing else.

    Args:
        root: the set's ``dataroot_lq``.

    Example:
        >>> names = PictureNames('set')
        >>> [names.of(path) for path in ('set/a/0.png', 'set/b/0.png', 'set/b/0.jpg', 'set/a/0.png')]
        ['a/0', 'b/0', 'b/0.jpg', 'a/0']
    """

    def __init__(self, root: str) -> None:
        self._root = Path(root).expanduser().absolute()
        self._given: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, path: str) -> str:
        """The name of the picture at ``path``; the same on every call."""
        if path not in self._given:
            whole = Path(path).expanduser().absolute()
            if whole.is_relative_to(self._root):
                name = PurePosixPath(whole.relative_to(self._root).as_posix())
            else:  # an LMDB's key, or a file that a list names outside the root
                name = PurePosixPath(whole.name if Path(path).is_absolute() else Path(path).as_posix())
            short = name.with_suffix('').as_posix()
            self._given[path] = chosen = name.as_posix() if short in self._taken else short
            self._taken.add(chosen)
        return self._given[path]
