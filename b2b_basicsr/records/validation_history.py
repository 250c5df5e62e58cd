"""Every validation of a training, so that the best values survive a resumption exactly."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

Values = Mapping[str, float]


class ValidationHistory:
    """The values of every validation, one line of JSON each, in a file.

    BasicSR's loop saves a state before it validates at the same iteration: the state knows nothing of that validation.

    Args:
        path: the file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, dataset: str, iteration: int, values: Values) -> None:
        """Notes one validation, at once and on disk."""
        torn = self._path.is_file() and not self._path.read_bytes().endswith(b'\n')
        with self._path.open('a', encoding='utf-8') as file:
            file.write('\n' if torn else '')
            file.write(json.dumps({'iter': iteration, 'dataset': dataset, 'values': dict(values)}) + '\n')
            file.flush()
            os.fsync(file.fileno())

    def until(self, iteration: int) -> Iterator[tuple[str, int, Values]]:
        """The validations up to an iteration, as (data set, iteration, values), in the order in which they were done.

        Of a validation that was done more than once, the last one counts; a line that was not written whole does not.
        """
        found: dict[tuple[int, str], Values] = {}
        for done_at, dataset, values in self._entries():
            if done_at <= iteration:
                found[done_at, dataset] = values
        for (done_at, dataset), values in sorted(found.items(), key=lambda item: item[0][0]):
            yield dataset, done_at, values

    def abandoned(self) -> set[int]:
        """Iterations beyond which the training was resumed from an earlier one, and that it has not come to again."""
        every: set[int] = set()
        standing: set[int] = set()
        for iteration, _, _ in self._entries():
            every.add(iteration)
            standing = {done_at for done_at in standing if done_at < iteration} | {iteration}
        return every - standing

    def _entries(self) -> Iterator[tuple[int, str, Values]]:
        """(iteration, data set, values) of every line that was written whole, in the order of the file."""
        lines = self._path.read_text(encoding='utf-8').split('\n') if self._path.is_file() else []
        for line in lines:
            try:
                entry = json.loads(line)
                found = int(entry['iter']), str(entry['dataset']), dict(entry['values'])
            except (ValueError, TypeError, KeyError):  # torn, or the empty one at the end
                continue
            yield found
