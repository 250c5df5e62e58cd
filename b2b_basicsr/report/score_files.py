"""Reads the tables that a validation or a test writes, one row for each picture."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from b2b_basicsr.errors import UserError
from b2b_basicsr.records.picture_scores import FILE_COLUMNS, ScoredPicture

_NAME = 'picture'


def is_score_file(path: Path) -> bool:
    """Whether a CSV file is one of ours, by its header."""
    with path.open(encoding='utf-8', errors='replace', newline='') as file:
        try:
            header = next(csv.reader(file), [])
        except csv.Error:
            return False
    return header[:1] == [_NAME] and FILE_COLUMNS[0] in header


def read_scores(path: Path) -> list[ScoredPicture]:
    """The pictures of a table written by ``records/picture_scores.py``; an empty cell is a value that is not there.

    Raises:
        UserError: if the file is no such table.
    """
    try:
        with path.open(encoding='utf-8', errors='surrogateescape', newline='') as file:
            table = csv.reader(file)
            header = next(table, [])
            if header[:1] != [_NAME] or FILE_COLUMNS[0] not in header:
                raise UserError(f'{path}: has no columns {_NAME!r} and {FILE_COLUMNS[0]!r}; validate or test again')
            first_file = header.index(FILE_COLUMNS[0])
            return [_picture(path, header, row, first_file) for row in table if row]
    except (ValueError, csv.Error) as cause:
        if isinstance(cause, UserError):
            raise
        raise UserError(f'{path}: cannot be read as a table of scores ({cause}); validate or test again') from cause


def _picture(path: Path, header: Sequence[str], row: Sequence[str], first_file: int) -> ScoredPicture:
    cells = list(zip(header, row, strict=True))
    values = {metric: float(value) for metric, value in cells[1:first_file] if value}
    return ScoredPicture(row[0], values, {kind: path.parent / file for kind, file in cells[first_file:] if file})
