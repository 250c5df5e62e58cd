"""What ``b2b bench ... --json`` ends with, as Markdown.

b2b bench data --json | python -m b2b_basicsr.bench.markdown
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from b2b_basicsr.bench.timing_table import Table
from b2b_basicsr.errors import UserError, exit_with


def as_markdown(result: Mapping[str, Any]) -> str:
    """A heading, the command, the machine and the date, and every table under its caption.

    Args:
        result: the JSON of :func:`~b2b_basicsr.bench.timing_table.print_tables`.
    """
    facts = dict(result['machine'])
    day = facts.pop('date')
    machine = ', '.join(value if key == 'processor' else f'{key} {value}' for key, value in facts.items())
    parts = [f'`{result["command"]}`, {day}, on {machine}:']
    for table in result['tables']:
        parts += [f'{table["caption"]}:', Table(table['caption'], table['rows']).text('github')]
    return '\n\n'.join(parts) + '\n'


def main() -> None:
    """Takes the last line of standard input, and writes Markdown.

    Raises:
        SystemExit: with status 2, if it is no result of a bench.
    """
    lines = sys.stdin.read().splitlines()
    try:
        text = as_markdown(json.loads(lines[-1]))
    except (IndexError, ValueError, KeyError, TypeError):
        exit_with(UserError('standard input: does not end in the JSON of b2b bench; give it --json'))
    print(text, end='')


if __name__ == '__main__':
    main()
