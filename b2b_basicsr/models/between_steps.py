"""What happens between two steps of a training, so that it can end there and go on exactly."""

from __future__ import annotations

import shlex
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from basicsr.utils import get_root_logger
from torch import Tensor

from b2b_basicsr.models.training_files import TrainingFiles
from b2b_basicsr.processes import gathered, this_process
from b2b_basicsr.stop_request import STOP


class BetweenSteps(TrainingFiles):
    """Mixin of BasicSR's models: random numbers of each step's own, its place in the epoch, and an end on request.

    BasicSR's loop draws from torch's global generator between steps, as often as it starts an epoch or validates. So
    that generator is seeded before each step, from ``manual_seed``, the iteration and the process: dropout drops the
    same in a resumed training.
    """

    _iteration = 0
    _is_first_step = True
    _saved_iteration: int | None = None
    _place: tuple[Tensor, Tensor] | None = None

    def update_learning_rate(self, current_iter: int, warmup_iter: int = -1) -> None:
        """BasicSR's; it is the first that the loop does for a step, when all of the one before it is done.

        Raises:
            SystemExit: if the training was asked to stop, and is saved.
        """
        self.stop_if_asked()
        self._iteration = current_iter
        if self._is_first_step:
            with warnings.catch_warnings():
                # Of a resumed training torch does not know that there were steps before.
                warnings.filterwarnings('ignore', 'Detected call of `lr_scheduler.step')
                super().update_learning_rate(current_iter, warmup_iter=warmup_iter)
            self._is_first_step = False
        else:
            super().update_learning_rate(current_iter, warmup_iter=warmup_iter)
        seed = int(self.opt.get('manual_seed') or 0)
        numbers = np.random.SeedSequence([seed, current_iter, this_process()[0]])
        torch.manual_seed(int(numbers.generate_state(1, np.uint64)[0]))

    def _note_place(self, data: Mapping[str, Any]) -> None:
        """Keeps which place of which epoch a batch ends at; numbers are made of it when a state is saved."""
        if 'position' in data:
            self._place = data['epoch'][-1], data['position'][-1]

    def kept_in_state(self) -> dict[str, Any]:
        """As the models below; ``manual_seed``; ``place``: the epoch, and how many of its places were seen by all."""
        kept = super().kept_in_state()
        kept['manual_seed'] = int(self.opt.get('manual_seed') or 0)
        if self._place is not None:
            count = this_process()[1]
            epoch, position = (int(number) for number in self._place)
            kept['place'] = {'epoch': epoch, 'seen': (position // count + 1) * count}
        return kept

    def save_training_state(self, epoch: int, current_iter: int) -> None:
        """As the models below."""
        super().save_training_state(epoch, current_iter)
        if current_iter != -1:
            self._saved_iteration = current_iter

    def resume_training(self, resume_state: Mapping[str, Any]) -> None:
        """As the models below."""
        super().resume_training(resume_state)
        self._iteration = self._saved_iteration = int(resume_state['iter'])
        seed = resume_state.get('manual_seed', self.opt.get('manual_seed'))
        if seed != self.opt.get('manual_seed'):
            get_root_logger().info(
                f'The state is of manual_seed {seed}, and goes on with {self.opt.get("manual_seed")}: other samples '
                'and other random numbers than without the interruption.'
            )
        place = resume_state.get('place')
        if place is not None:  # saved again before the first step, it is still where it was
            self._place = torch.tensor(place['epoch']), torch.tensor(place['seen'] - 1)

    def stop_if_asked(self) -> None:
        """Saves and ends the training if it has been asked to stop, by a signal to any of its processes.

        Raises:
            SystemExit: with 128 and the signal's number, as programs have that end by it.
        """
        number = STOP.agreed()
        if number is None or not self.is_train:
            return
        if self._saved_iteration != self._iteration and self._iteration > 0:
            self.save(int(self._place[0]) if self._place is not None else 0, self._iteration)
        gathered(None)  # who ends first has a launcher end the others
        if self._saved_iteration is None:
            get_root_logger().info(f'Stopped by {number.name} before the first step was done: nothing to save.')
        else:
            state = Path(self.opt['path']['training_states'], f'{self._saved_iteration}.state')
            get_root_logger().info(
                f'Stopped by {number.name} behind iteration {self._saved_iteration}, saved as {state}. '
                f'To go on: {_command_to_go_on()}'
            )
        raise SystemExit(128 + number)


def _command_to_go_on() -> str:
    """This one again, resuming."""
    program, *arguments = sys.argv
    if not program.startswith('b2b '):
        # argv has the path of the script, of python -m as well.
        started_as = sys.orig_argv[1 : len(sys.orig_argv) - len(arguments)]
        program = shlex.join(['python', *started_as])
    resuming = arguments if '--auto_resume' in arguments else [*arguments, '--auto_resume']
    command = f'{program} {shlex.join(resuming)}'
    return command if this_process()[1] == 1 else f'the same launcher with {command}'
