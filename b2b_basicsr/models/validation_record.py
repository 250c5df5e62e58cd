"""What a validation found: its means, the best values so far, and the checkpoint of the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from basicsr.utils import get_root_logger

from b2b_basicsr.models.between_steps import BetweenSteps
from b2b_basicsr.models.scores import Scores
from b2b_basicsr.models.val_options import ValOptions
from b2b_basicsr.processes import failing_together, gathered, this_process
from b2b_basicsr.records.picture_scores import ScoredPicture, write_picture_scores
from b2b_basicsr.records.validation_history import ValidationHistory


class ValidationRecord(BetweenSteps):
    """Mixin of BasicSR's models: settings and scores of a validation, ``val: best`` and the log."""

    val_settings: ValOptions
    scores: Scores
    metric_results: dict[str, float]

    def _init_record(self, settings: ValOptions, scores: Scores) -> None:
        self.val_settings = settings
        self.scores = scores
        self.best_metric_results = {}

    def _history(self) -> ValidationHistory:
        return ValidationHistory(Path(self.opt['path']['training_states'], 'validations.jsonl'))

    def resume_training(self, resume_state: Mapping[str, Any]) -> None:
        """Optimisers and schedulers by BasicSR, and the best values of the validations so far."""
        super().resume_training(resume_state)
        self.best_metric_results = dict(resume_state.get('best_metric_results', {}))
        if hasattr(self, 'scores'):
            for dataset_name, iteration, values in self._history().until(int(resume_state['iter'])):
                self._improved(dataset_name, iteration, values)

    def lacks_validation(self, dataset_name: str, iteration: int) -> bool:
        """Whether a set has not been validated at an iteration, the one that the training stands at or earlier."""
        done = {(name, at) for name, at, _ in self._history().until(iteration)}
        return gathered((dataset_name, iteration) not in done)[0]

    def _last_trained(self, current_iter: int | str) -> int | str:
        """The iteration that a validation stands for: BasicSR's loop ends beyond the last one that it trained."""
        if self.is_train and not isinstance(current_iter, str):
            return min(current_iter, int(self.opt['train']['total_iter']))
        return current_iter

    def _record(
        self,
        dataset_name: str,
        pictures: Sequence[ScoredPicture],
        current_iter: int | str,
        tb_logger: Any,
        left_out: int = 0,
    ) -> None:
        """Takes every picture: writes the table, logs the means, keeps the best, and saves the best network.

        All processes of a training call it with the same pictures; the first alone writes. Means that lack pictures
        which were ``left_out`` are logged and nothing else: they are not to be compared with others.
        """
        writes = this_process()[0] == 0
        table = self._table_of_pictures(dataset_name, current_iter)
        with failing_together():
            if writes:
                with self._writing(table):
                    write_picture_scores(table, pictures)
        if not self.is_train:
            get_root_logger().info(f'{dataset_name}: {len(pictures)} pictures, each with its scores in {table}')
        found: dict[str, list[float]] = {}
        for picture in pictures:
            for metric, value in picture.values.items():
                found.setdefault(metric, []).append(value)
        self.metric_results = {metric: sum(column) / len(column) for metric, column in found.items()}
        if unknown := [metric for metric in self.opt['val'].get('metrics') or {} if metric not in found]:
            get_root_logger().info(f'{dataset_name}: without ground truth no {", ".join(unknown)}')
        if left_out:
            lines = [f'{dataset_name}: {len(pictures)} of {len(pictures) + left_out} pictures could be read and scored']
            lines += [f'\t # {metric}: {value:.4f}' for metric, value in self.metric_results.items()]
            get_root_logger().warning('\n'.join(lines))
        if not self.metric_results or left_out:
            self._note(dataset_name, current_iter, {})
            return
        improved = self._improved(dataset_name, current_iter, self.metric_results)
        choice = self._best_choice() if self.is_train else None
        if choice is not None and choice[0] == dataset_name and choice[1] in improved:
            value = self.metric_results[choice[1]]
            get_root_logger().info(f'Best {choice[1]} of {dataset_name} so far: {value:.4f}. Saving net_g_best.')
            self._save_net_g('best')
        self._note(dataset_name, current_iter, self.metric_results)
        self._log_validation_metric_values(current_iter, dataset_name, tb_logger)

    def _note(self, dataset_name: str, current_iter: int | str, values: Mapping[str, float]) -> None:
        """Last of a validation: what is noted is not done again by a training that was killed in between."""
        with failing_together():
            if this_process()[0] == 0 and self.is_train and isinstance(current_iter, int):
                with self._writing(Path(self.opt['path']['training_states'], 'validations.jsonl')):
                    self._history().add(dataset_name, current_iter, values)

    def _table_of_pictures(self, dataset_name: str, current_iter: int | str) -> Path:
        """``results/NAME/SET.csv`` of a test; beside the saved pictures in a training."""
        if self.is_train:
            return Path(self.opt['path']['visualization'], dataset_name, f'{dataset_name}_{current_iter}.csv')
        return Path(self.opt['path']['results_root'], f'{dataset_name}.csv')

    @staticmethod
    def _given_files(data: Mapping[str, Any]) -> dict[str, Path]:
        """The files of a validation sample's pictures; those in an LMDB are none."""
        named = {key: Path(data[f'{key}_path'][0]) for key in ('lq', 'gt') if f'{key}_path' in data}
        return {key: path for key, path in named.items() if path.is_file()}

    def _improved(self, dataset_name: str, current_iter: int | str, values: Mapping[str, float]) -> list[str]:
        """Keeps the values that are the best so far, and names them. A value that is no number is never the best."""
        record = self.best_metric_results.setdefault(dataset_name, {})
        improved = []
        for metric, value in values.items():
            better = self.scores.better(metric)
            kept = record.get(metric)
            if math.isnan(value):
                continue
            if kept is None or (value > kept['val'] if better == 'higher' else value < kept['val']):
                record[metric] = {'better': better, 'val': value, 'iter': current_iter}
                improved.append(metric)
        return improved

    def _best_choice(self) -> tuple[str, str] | None:
        """The validation set and the metric that choose ``net_g_best.pth``; the first set where none is named."""
        if self.val_settings.best is None:
            return None
        first = next(section['name'] for phase, section in self.opt['datasets'].items() if phase.startswith('val'))
        dataset_name, _, metric = self.val_settings.best.rpartition('/')
        return (dataset_name or first, metric)

    def _log_validation_metric_values(self, current_iter: int | str, dataset_name: str, tb_logger: Any) -> None:
        lines = [f'Validation {dataset_name}']
        for metric, value in self.metric_results.items():
            line = f'\t # {metric}: {value:.4f}'
            if self.is_train and not self.scores.is_baseline(metric):
                best = self.best_metric_results[dataset_name].get(metric)
                line += f'\tBest: {best["val"]:.4f} @ {best["iter"]} iter' if best else ''
            lines.append(line)
            if tb_logger:
                tb_logger.add_scalar(f'metrics/{dataset_name}/{metric}', value, current_iter)
        get_root_logger().info('\n'.join(lines))
