"""Tables of what was measured, for people and, as JSON, for programs."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from tabulate import tabulate

from b2b_basicsr.bench.machine import machine_facts

Value = str | float | int | None


@dataclass(frozen=True)
class Table:
    """A table under a caption.

    Args:
        caption: what it shows.
        rows: column -> value; the columns are all rows', those of the first row first. Numbers that are not whole are
            shown with three significant digits, and ``None`` as nothing.
    """

    caption: str
    rows: list[dict[str, Value]]

    def text(self, style: str = 'simple') -> str:
        """The table.

        Args:
            style: one of tabulate's: ``simple``, or ``github`` for Markdown.
        """
        columns = list(dict.fromkeys(column for row in self.rows for column in row))
        cells = [[_shown(row.get(column)) for column in columns] for row in self.rows]
        align = ['left' if _is_text(self.rows, column) else 'right' for column in columns]
        return tabulate(cells, headers=columns, tablefmt=style, colalign=align, disable_numparse=True)


def print_tables(title: str, tables: Iterable[Table], as_json: bool) -> None:
    """Prints the machine and the tables.

    Args:
        title: what was measured.
        tables: in their order. An iterator's are printed as they come.
        as_json: print everything once more, as one last line of JSON with ``title``, ``command``, ``machine`` and
            ``tables`` (``caption``, ``rows``); what is not a number there is null. Tables of an iterator are each
            followed by such a line with those so far, so that what is stopped has said what it knew.
    """
    as_they_come = isinstance(tables, Iterator)
    shown: list[Table] = []
    facts = machine_facts()
    click.echo(title)
    click.echo(', '.join(f'{key} {value}' for key, value in facts.items()))
    for table in tables:
        shown.append(table)
        click.echo(f'\n{table.caption}\n{table.text()}')
        if as_json and as_they_come:
            click.echo(_json(title, facts, shown))
    if as_json and not as_they_come:
        click.echo(_json(title, facts, shown))


def _json(title: str, facts: dict[str, str], tables: Sequence[Table]) -> str:
    script = Path(sys.argv[0])
    is_b2b = script.suffix != '.py' or script.name == '__main__.py'
    command = shlex.join([*(['b2b'] if is_b2b else ['python', str(script)]), *sys.argv[1:]])
    content = {'title': title, 'command': command, 'machine': facts, 'tables': [asdict(table) for table in tables]}
    return json.dumps(_without_nan(content), allow_nan=False)


def _shown(value: Value) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ''
    if isinstance(value, float):
        return f'{value:#.3g}'.rstrip('.') if 1e-3 <= abs(value) < 1000 or value == 0 else f'{value:.0f}'
    return str(value)


def _is_text(rows: Sequence[dict[str, Value]], column: str) -> bool:
    return any(isinstance(row.get(column), str) for row in rows)


def _without_nan(content: object) -> object:
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
