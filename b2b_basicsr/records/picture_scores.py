"""What a validation or a test found of each picture, as a table in a file."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from b2b_basicsr.whole_file import whole_file

FILE_COLUMNS = ('lq', 'direct', 'translated', 'restored', 'gt')
"""The pictures of every row, from the blurry to the sharp one."""


@dataclass(frozen=True)
class ScoredPicture:
    """One picture of a validation.

    Args:
        name: relative, without extension, its own in the set.
        values: metric -> value.
        files: what it is (:data:`FILE_COLUMNS`, or a model's own) -> where; those that are no file are left out.
    """

    name: str
    values: Mapping[str, float]
    files: Mapping[str, Path] = field(default_factory=dict)


def write_picture_scores(path: Path, pictures: Sequence[ScoredPicture]) -> None:
    """Writes a CSV file: ``picture``, every metric, then the pictures' files; whole or not at all.

    A file below the table's own folder is named relative to it, so that the folder can be moved; others absolutely.

    Args:
        path: the file; folders that it needs are made.
        pictures: one row each.

    Raises:
        OSError: if it cannot be written.
    """
    metrics = list(dict.fromkeys(metric for picture in pictures for metric in picture.values))
    columns = list(dict.fromkeys([*FILE_COLUMNS, *(column for picture in pictures for column in picture.files)]))
    with (
        whole_file(path) as temporary,
        temporary.open('w', encoding='utf-8', errors='surrogateescape', newline='') as file,
    ):
        table = csv.DictWriter(file, ['picture', *metrics, *columns], lineterminator='\r\n')
        table.writeheader()
        for picture in pictures:
            files = {column: _named(place, path.parent) for column, place in picture.files.items()}
            table.writerow({'picture': picture.name, **picture.values, **files})


def _named(file: Path, folder: Path) -> str:
    file, folder = file.expanduser().absolute(), folder.absolute()
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)
