"""What BasicSR's log files say: the options of a run, its losses, its validations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_TIMED = re.compile(r'^(\d{4}-\d\d-\d\d \d\d:\d\d):\d\d,\d+ \w+: (.*)$')
_ITERATION = re.compile(r'iter:\s*([\d,]+), lr')
_NUMBER = re.compile(r'(\w+): ([-+]?(?:[\d.]+(?:e[-+]?\d+)?|nan|inf))(?=\s|$)', re.IGNORECASE)
_OPTION = re.compile(r'^ {2,}(?:([^\s:]+):(\[| .*)|(\]))$')
_METRIC = re.compile(r'^\t # ([^:]+): ([-+]?(?:[\d.]+|nan|inf))')
_VALIDATION = 'Validation '

Curve = list[tuple[int, float]]
Options = Mapping[str, Any]


def logged_iteration(line: str) -> int | None:
    """The iteration that a line of BasicSR's training log tells; ``None`` for any other line."""
    found = _ITERATION.search(line)
    return int(found.group(1).replace(',', '')) if found else None


@dataclass
class BasicsrLog:
    """One run's log, all parts of it.

    Args:
        options: the option file as BasicSR took it, ``--force_yml`` and all; every value is text, or ``None``.
        begun: date and time of the first line; empty without a log.
        losses: name, as logged -> (iteration, value), iterations rising.
        validations: (data set, iteration, values), in order. The iteration is the last that was logged before, so at
            most ``logger: print_freq`` too low; 0 in a test.
    """

    options: Options = field(default_factory=dict)
    begun: str = ''
    losses: dict[str, Curve] = field(default_factory=dict)
    validations: list[tuple[str, int, dict[str, float]]] = field(default_factory=list)

    @property
    def last_iteration(self) -> int:
        """The last one logged; 0 if none was."""
        return max((curve[-1][0] for curve in self.losses.values() if curve), default=0)

    def option(self, *keys: str) -> Any:
        """An option by its path; ``None`` where it is not set."""
        found: Any = self.options
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found


def read_log(parts: Sequence[Path]) -> BasicsrLog:
    """Reads the log files of a run, the later ones after the earlier.

    Where a resumed training goes over iterations once more, what it says of them counts, and what an earlier part said
    of them and of all that came after does not.

    Args:
        parts: ``train_NAME_TIME.log`` or ``test_NAME_TIME.log``, in order of time.
    """
    whole = BasicsrLog()
    for path in parts:
        part = _read_part(path.read_text(encoding='utf-8', errors='replace'))
        first = min((curve[0][0] for curve in part.losses.values() if curve), default=None)
        if first is not None:
            whole.losses = {
                name: [point for point in curve if point[0] < first] for name, curve in whole.losses.items()
            }
            whole.validations = [entry for entry in whole.validations if entry[1] < first]
        for name, curve in part.losses.items():
            whole.losses.setdefault(name, []).extend(curve)
        whole.validations += part.validations
        whole.options = part.options or whole.options
        whole.begun = whole.begun or part.begun
    return whole


def _read_part(text: str) -> BasicsrLog:
    log = BasicsrLog()
    sections: list[dict[str, Any]] = [{}]
    iteration = 0
    values: dict[str, float] | None = None
    # Options are told once, below the first lines that have a time and nothing else.
    in_options = False
    for line in text.splitlines():
        timed = _TIMED.match(line)
        if timed:
            log.begun = log.begun or timed.group(1)
            message = timed.group(2)
            in_options = not message
            values = None
            step = logged_iteration(message)
            if step is not None:
                iteration = step
                for name, value in _NUMBER.findall(message.rpartition(')] ')[2]):
                    log.losses.setdefault(name, []).append((iteration, float(value)))
            elif message.startswith(_VALIDATION):
                values = {}
                log.validations.append((message.removeprefix(_VALIDATION).strip(), iteration, values))
        elif values is not None and (metric := _METRIC.match(line)):
            values[metric.group(1)] = float(metric.group(2))
        elif in_options and (option := _OPTION.match(line)):
            _take_option(sections, *option.groups())
    log.options = sections[0]
    return log


def _take_option(sections: list[dict[str, Any]], key: str | None, value: str | None, end: str | None) -> None:
    """Takes a line of BasicSR's ``dict2str``; ``sections`` are those that are open, the innermost last."""
    if end:
        if len(sections) > 1:
            sections.pop()
    elif value == '[':
        section: dict[str, Any] = {}
        sections[-1][str(key)] = section
        sections.append(section)
    else:
        said = str(value).strip()
        sections[-1][str(key)] = None if said == 'None' else said
