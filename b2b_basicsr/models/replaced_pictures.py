"""Pictures of a running training that others stand in for: told, counted, and too many of them end it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from basicsr.utils import get_root_logger

from b2b_basicsr.data.loader_options import MAX_REPLACED
from b2b_basicsr.errors import UserError
from b2b_basicsr.models.training_files import TrainingFiles
from b2b_basicsr.models.training_log import TrainingLog
from b2b_basicsr.models.write_failures import last_whole_state
from b2b_basicsr.processes import failing_together, gathered

_NAMED = 3


class ReplacedPictures(TrainingLog, TrainingFiles):
    """Mixin of BasicSR's models: takes from each batch what its data set says of pictures that could not be read.

    Each picture is told of once, each time is counted, in a state, too; ``datasets: train: max_replaced`` ends the
    training. One process does so at once. Several tell each other when the log is written or a state is saved, so that
    no step waits for it: the count is of all of them.
    """

    _replaced = 0

    def __init__(self, opt: dict[str, Any]) -> None:
        self._untold: list[str] = []
        self._told: dict[str, None] = {}
        super().__init__(opt)

    def _note_replaced(self, data: Mapping[str, Any]) -> None:
        """Takes a batch's ``replaced``, a text for each sample, empty as a rule.

        Raises:
            UserError: if too many pictures have been replaced.
        """
        self._untold += [line for lines in data.get('replaced', ()) for line in lines.splitlines()]
        if self._untold and not self.opt['dist']:
            self._tell_and_count()
            self._stop_if_too_many_are_replaced()

    def _tell_and_count(self) -> None:
        """All processes call it together."""
        untold = [line for lines in gathered(self._untold) for line in lines]
        self._untold = []
        for line in untold:
            self._replaced += 1
            if line not in self._told:
                stands_in = 'another picture stands in' if self._told else 'another picture stands in for it'
                get_root_logger().warning(f'{line}: {stands_in} ({self._replaced} so far)')
            self._told.pop(line, None)
            self._told[line] = None  # the last

    def _stop_if_too_many_are_replaced(self) -> None:
        if not self._told:
            return
        section = self.opt['datasets'].get('train') or {}
        most = int(section.get('max_replaced', MAX_REPLACED))
        if self._replaced <= most:
            return
        state = last_whole_state(self.opt)
        go_on = 'begin anew' if state is None else f'go on with --auto_resume from {state}'
        with failing_together():
            raise UserError(
                f'datasets:train:max_replaced: pictures that cannot be read had to be replaced {self._replaced} times, '
                f'more than {most}; the last: {" | ".join([*self._told][-_NAMED:])}; put them back or take them out, '
                f'and {go_on}, or raise max_replaced'
            )

    def get_current_log(self) -> Mapping[str, float]:
        """As the models below; and ``replaced``, how many pictures were, if any.

        Raises:
            UserError: if too many pictures have been replaced.
        """
        if self.opt['dist']:
            self._tell_and_count()
            self._stop_if_too_many_are_replaced()
        log = super().get_current_log()
        return {**log, 'replaced': float(self._replaced)} if self._replaced else log

    def save_training_state(self, epoch: int, current_iter: int) -> None:
        """As the models below."""
        if self.opt['dist']:
            self._tell_and_count()
        super().save_training_state(epoch, current_iter)

    def kept_in_state(self) -> dict[str, Any]:
        """As the models below; and ``replaced_pictures``, how many."""
        return {**super().kept_in_state(), 'replaced_pictures': self._replaced}

    def resume_training(self, resume_state: Mapping[str, Any]) -> None:
        """As the models below; goes on counting."""
        super().resume_training(resume_state)
        self._replaced = int(resume_state.get('replaced_pictures', 0))
