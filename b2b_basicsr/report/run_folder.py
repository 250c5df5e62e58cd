"""A training or a test by what it left in its folder."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from b2b_basicsr.errors import UserError
from b2b_basicsr.records.picture_scores import FILE_COLUMNS, ScoredPicture
from b2b_basicsr.records.validation_history import ValidationHistory
from b2b_basicsr.report.basicsr_log import BasicsrLog, read_log
from b2b_basicsr.report.score_files import is_score_file, read_scores

Values = Mapping[str, float]
_LOWER_IS_BETTER = ('calculate_lpips', 'calculate_sharp_niqe')
"""Metrics that say so themselves (``metrics/traits.py``); asking them takes torch, for which a report does not wait."""

_REPORT = 'report.html'
_GIVEN = (FILE_COLUMNS[0], FILE_COLUMNS[-1])


@dataclass(frozen=True)
class ScoredSet:
    """What a run found of one data set.

    Args:
        name: of the set.
        means: metric -> mean over the pictures.
        pictures: one by one; empty where no table was written.
        overview: a picture of some of them that the model drew; ``None`` where there is none.
    """

    name: str
    means: Values
    pictures: list[ScoredPicture]
    overview: Path | None = None


@dataclass(frozen=True)
class Run:
    """A training or a test.

    Args:
        folder: where it is.
        kind: what it is.
        log: of BasicSR, all parts; empty where there is none.
        validations: of a training: iteration -> data set -> means.
        tables: iteration (0 in a test) -> data set -> file with a row for each picture.
    """

    folder: Path
    kind: Literal['training', 'test']
    log: BasicsrLog
    validations: Mapping[int, Mapping[str, Values]] = field(default_factory=dict)
    tables: Mapping[int, Mapping[str, Path]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the folder."""
        return self.folder.resolve().name

    @property
    def iterations(self) -> list[int]:
        """Those that were validated, rising."""
        return sorted({*self.validations, *self.tables})

    def better(self, metric: str) -> Literal['higher', 'lower']:
        """Which values of a metric are better, as the option file or else the metric itself says."""
        said = self.log.option('val', 'metrics', metric, 'better')
        own = 'lower' if self.log.option('val', 'metrics', metric, 'type') in _LOWER_IS_BETTER else 'higher'
        return 'lower' if (said or own) == 'lower' else 'higher'

    def sets_at(self, iteration: int) -> list[ScoredSet]:
        """What was found at an iteration; 0 in a test."""
        means, tables = self.validations.get(iteration, {}), self.tables.get(iteration, {})
        sets = []
        for name in dict.fromkeys([*means, *tables]):
            pictures = read_scores(tables[name]) if name in tables else []
            overview = tables[name].with_suffix('.png') if name in tables else None
            sets.append(
                ScoredSet(
                    name,
                    means.get(name) or _means(pictures),
                    pictures,
                    overview if overview is not None and overview.is_file() else None,
                )
            )
        return sets

    def has_pictures(self, iteration: int) -> bool:
        """Whether pictures that the networks made were saved at an iteration, and are there."""
        tables = self.tables.get(iteration, {}).values()
        return any(has_results(picture) for table in tables for picture in read_scores(table))

    def chosen_iteration(self, asked: int | None) -> tuple[int, str]:
        """The iteration to show, and why that.

        Args:
            asked: by the user; or, if ``None``, the best one by ``val: best``, if its pictures are there (or nobody's
                are), else the last one with pictures.

        Raises:
            UserError: if there was no validation at ``asked``.
        """
        if self.kind == 'test':
            if asked is not None:
                raise UserError(f'--iter: {self.name} is a test, which has no iterations; leave --iter out')
            return 0, ''
        if asked is not None:
            if asked not in self.iterations:
                there = ', '.join(map(str, self.iterations)) or 'none'
                raise UserError(f'--iter: no validation at iteration {asked} of {self.name}; there are: {there}')
            return asked, 'as asked for'
        shown = [iteration for iteration in self.iterations if self.has_pictures(iteration)] or self.iterations
        best = self._best()
        if best is not None and best[0] in shown:
            return best[0], f'the best {best[1]}'
        last = 'the last that saved pictures' if shown and shown[-1] != self.iterations[-1] else 'the last'
        return (shown[-1], last) if shown else (0, '')

    def _best(self) -> tuple[int, str] | None:
        """The iteration with the best value of ``val: best``, and the metric."""
        dataset, _, metric = str(self.log.option('val', 'best') or '').rpartition('/')
        sign = -1 if self.better(metric) == 'lower' else 1
        found = []
        for iteration in sorted(self.validations):
            of_sets = self.validations[iteration]
            value = of_sets.get(dataset or next(iter(of_sets)), {}).get(metric)
            if value is not None and value == value:  # no NaN
                found.append((sign * value, -iteration))
        return (-max(found)[1], metric) if found else None


def has_results(picture: ScoredPicture) -> bool:
    """Whether a network's picture is there, beside those that were given to it."""
    return any(kind not in _GIVEN and file.is_file() for kind, file in picture.files.items())


def open_run(folder: Path) -> Run:
    """Looks at a folder ``experiments/NAME`` or ``results/NAME``.

    Raises:
        UserError: if it is neither, or a table in it cannot be read.
    """
    if not folder.is_dir():
        raise UserError(f'{folder}: is no folder; give experiments/NAME (a training) or results/NAME (a test)')
    train_logs, test_logs = (_logs(folder, kind) for kind in ('train', 'test'))
    history = folder / 'training_states' / 'validations.jsonl'
    if train_logs or history.is_file():
        return _training(folder, read_log(train_logs), history)
    tables = {path.stem: path for path in sorted(folder.glob('*.csv')) if is_score_file(path)}
    if test_logs or tables:
        log = read_log(test_logs[-1:])
        means = {dataset: values for dataset, _, values in log.validations}
        return Run(folder, 'test', log, {0: means} if means and not tables else {}, {0: tables} if tables else {})
    raise UserError(
        f'{folder}: neither a training (train_*.log, training_states) nor a test (test_*.log, SET.csv); '
        'give experiments/NAME or results/NAME'
    )


def report_file(run: Run, out: Path | None) -> Path:
    """The file for a run's report.

    Args:
        run: the training or test.
        out: as the user names it; ``None`` for ``report.html`` in the run's folder.

    Raises:
        UserError: if there is no such folder, or the file is one.
    """
    if out is None:
        return run.folder / _REPORT
    if out.is_dir():
        raise UserError(f'-o: {out} is a folder; name a file in it, {out / _REPORT} say')
    if not out.parent.is_dir():
        raise UserError(f'-o: {out.parent} is no folder; make it first, or name a file elsewhere')
    return out


def _training(folder: Path, log: BasicsrLog, history: Path) -> Run:
    kept = ValidationHistory(history)
    abandoned = kept.abandoned()
    entries = [entry for entry in kept.until(sys.maxsize) if entry[1] not in abandoned]
    if not entries:  # BasicSR's own models keep none
        entries = [*log.validations]
    validations: dict[int, dict[str, Values]] = {}
    for dataset, iteration, values in entries:
        validations.setdefault(iteration, {})[dataset] = values
    tables: dict[int, dict[str, Path]] = {}
    for path in sorted(folder.glob('visualization/*/*.csv')):
        dataset = path.parent.name
        numbered = re.fullmatch(rf'{re.escape(dataset)}_(\d+)', path.stem)
        if numbered and int(numbered.group(1)) not in abandoned and is_score_file(path):
            tables.setdefault(int(numbered.group(1)), {})[dataset] = path
    return Run(folder, 'training', log, validations, tables)


def _logs(folder: Path, kind: str) -> list[Path]:
    """In order of the time that ends their names."""
    return sorted(folder.glob(f'{kind}_*.log'), key=lambda path: path.stem[-len('20260101_000000') :])


def _means(pictures: list[ScoredPicture]) -> Values:
    found: dict[str, list[float]] = {}
    for picture in pictures:
        for metric, value in picture.values.items():
            found.setdefault(metric, []).append(value)
    return {metric: sum(values) / len(values) for metric, values in found.items()}
