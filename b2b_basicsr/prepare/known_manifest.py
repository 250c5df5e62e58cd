"""The record of a set of known pictures: one line of JSON for the whole, and one for each picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from b2b_basicsr.errors import UserError
from b2b_basicsr.whole_file import whole_file

NAME = 'known.jsonl'


class KnownManifest:
    """``known.jsonl`` in a folder, growing line by line, so that a stopped run can go on.

    Args:
        folder: where it is, or will be.
        pictures: the folder of the pictures, in ``folder``.
        header: what the pictures are made from: the first line.

    Raises:
        UserError: if the folder holds one with another header, or something else.
    """

    def __init__(self, folder: Path, pictures: Path, header: dict[str, Any]) -> None:
        self._path = folder / NAME
        self.done: dict[str, dict[str, Any]] = {}
        if not self._path.is_file():
            if any(folder.iterdir()):
                raise UserError(f'{folder}: is in the way, and not made by b2b prepare known (no {NAME}); move it away')
            self._append(header)
            pictures.mkdir()
            return
        pictures.mkdir(exist_ok=True)
        lines = self._whole_lines()
        if not lines:
            self._path.unlink()
            self._append(header)
            return
        self._demand(lines[0], json.loads(json.dumps(header)))
        self.done = {line['picture']: line for line in lines[1:] if (pictures / line['picture']).is_file()}
        if len(self.done) != len(lines) - 1:
            self._rewrite([lines[0], *self.done.values()])

    def _whole_lines(self) -> list[dict[str, Any]]:
        """The lines that were written whole; a torn last one is cut off."""
        content = self._path.read_bytes()
        whole = content[: content.rfind(b'\n') + 1]
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
        except ValueError as cause:
            raise UserError(f'{self._path}: is damaged ({cause}); delete {self._path.parent} to begin again') from cause
        if whole != content:
            with self._path.open('r+b') as file:
                file.truncate(len(whole))
        return lines

    def _demand(self, found: dict[str, Any], header: dict[str, Any]) -> None:
        changed = [key for key in {**found, **header} if found.get(key) != header.get(key)]
        if changed:
            key = changed[0]
            raise UserError(
                f'{self._path.parent}: was begun with another {key} ({_short(found.get(key))}, now '
                f'{_short(header.get(key))}); delete it to begin again, or give another -o'
            )

    def add(self, line: dict[str, Any]) -> None:
        """Notes a picture that is on disk."""
        self._append(line)
        self.done[line['picture']] = line

    def _rewrite(self, lines: list[dict[str, Any]]) -> None:
        with whole_file(self._path) as temporary:
            temporary.write_text(''.join(json.dumps(line) + '\n' for line in lines), encoding='utf-8')

    def _append(self, line: dict[str, Any]) -> None:
        with self._path.open('a', encoding='utf-8') as file:
            file.write(json.dumps(line) + '\n')


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f'{text[:117]}...'
