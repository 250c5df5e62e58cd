"""Tables of what was measured, for people and, as JSON, for programs."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import click
from tabulate import tabulate

from b2b_basicsr.bench.machine import machine_facts

Value = str | float | int | None


@dataclass(frozen=True)
class Table:
    """A table under a caption.

    Args:
        caption: what it shows.
        rows: column -> value; the first row's columns are the table's. Numbers that are not whole are shown with three
            significant digits, and ``None`` as nothing.
    """

    caption: str
    rows: list[dict[str, Value]]

    def text(self, style: str = 'simple') -> str:
        """The table.

        Args:
            style: one of tabulate's: ``simple``, or ``github`` for Markdown.
        """
        columns = list(self.rows[0]) if self.rows else []
        cells = [[_shown(row.get(column)) for column in columns] for row in self.rows]
        align = ['left' if _is_text(self.rows, column) else 'right' for column in columns]
        return tabulate(cells, headers=columns, tablefmt=style, colalign=align, disable_numparse=True)


def print_tables(title: str, tables: Sequence[Table], as_json: bool) -> None:
    """Prints the machine and the tables.

    Args:
        title: what was measured.
        tables: in their order.
        as_json: print everything once more, as one last line of JSON with ``title``, ``command``, ``machine`` and
            ``tables`` (``caption``, ``rows``); what is not a number there is null.
    """
    facts = machine_facts()
    click.echo(title)
    click.echo(', '.join(f'{key} {value}' for key, value in facts.items()))
    for table in tables:
        click.echo(f'\n{table.caption}\n{table.text()}')
    if as_json:
        command = shlex.join(['b2b', *sys.argv[1:]])
        content = {'title': title, 'command': command, 'machine': facts, 'tables': [asdict(table) for table in tables]}
        click.echo(json.dumps(_without_nan(content), allow_nan=False))


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
