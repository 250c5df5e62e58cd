"""What a training reads and leaves behind: weights, checkpoints, the state to resume from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from basicsr.models.base_model import BaseModel
from basicsr.utils import get_root_logger
from numpy.typing import NDArray
from torch import nn

from b2b_basicsr.errors import UserError
from b2b_basicsr.models.checkpoint import load_weights, write_whole
from b2b_basicsr.models.old_checkpoints import remove_older
from b2b_basicsr.models.write_failures import write_failure
from b2b_basicsr.processes import failing_together, gathered_by_first, this_process
from b2b_basicsr.whole_file import whole_file


def _as_plain(value: Any) -> Any:
    """Dicts, lists and numbers only, so that a checkpoint with it loads under ``weights_only=True``."""
    if isinstance(value, Mapping):
        return {str(key): _as_plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_as_plain(entry) for entry in value]
    return value


class TrainingFiles(BaseModel):
    """Mixin of BasicSR's models: weights are read safely and checked, checkpoints and states are written whole.

    Expects ``net_g`` and, with EMA, ``net_g_ema``, as BasicSR's ``SRModel`` has them, ``generator`` and ``scaler``.
    """

    net_g: nn.Module
    net_g_ema: nn.Module
    generator: torch.Generator
    scaler: torch.amp.GradScaler
    best_metric_results: dict[str, dict[str, dict[str, Any]]]
    saved_iterations: Sequence[int] = ()
    """Those that this experiment has saved checkpoints of, and not removed: no other is its own to remove."""

    def load_network(
        self, net: nn.Module, load_path: str, strict: bool = True, param_key: str | None = 'params'
    ) -> None:
        """Loads weights safely (``weights_only``), from BasicSR's checkpoints or plain state dicts.

        Args:
            net: the network.
            load_path: the file.
            strict: refuse a file whose keys or shapes differ; otherwise load what fits, and log the rest.
            param_key: ``params``, ``params_ema``, or ``None`` for a plain state dict.

        Raises:
            UserError: if the file is missing, unreadable, or (``strict``) another network's.
        """
        load_weights(self.get_bare_model(net), 'path:pretrain_network', load_path, strict, param_key)

    def _save_net_g(self, current_iter: int | str) -> None:
        nets, keys = [self.net_g], ['params']
        if hasattr(self, 'net_g_ema'):
            nets, keys = [*nets, self.net_g_ema], [*keys, 'params_ema']
        self.save_network(nets, 'net_g', current_iter, keys)

    def save_network(
        self,
        net: nn.Module | list[nn.Module],
        net_label: str,
        current_iter: int | str,
        param_key: str | list[str] = 'params',
    ) -> None:
        """BasicSR's checkpoint (``params``, ``params_ema``) and, under ``network``, the network's option section.

        All processes call it; the first one writes.

        Raises:
            UserError: if the file cannot be written; the one before it stays whole.
        """
        label = 'latest' if current_iter == -1 else current_iter
        nets = net if isinstance(net, list) else [net]
        keys = param_key if isinstance(param_key, list) else [param_key]
        content: dict[str, Any] = {
            key: {
                name: tensor.detach().cpu().contiguous()
                for name, tensor in self.get_bare_model(one).state_dict().items()
            }
            for one, key in zip(nets, keys, strict=True)
        }
        content['network'] = _as_plain(self.opt[net_label.replace('net_', 'network_')])
        self._write_whole(content, Path(self.opt['path']['models'], f'{net_label}_{label}.pth'))

    def save_training_state(self, epoch: int, current_iter: int) -> None:
        """BasicSR's state, and what ours adds: the generators of all processes and the best values so far.

        When it is whole, older ones go as ``logger: keep_checkpoints`` says. All processes call it; the first one
        writes.

        Raises:
            UserError: if the file cannot be written; the one before it stays whole.
        """
        if current_iter == -1:
            return
        generators = gathered_by_first(self.generator.get_state())
        self.saved_iterations = [*(done for done in self.saved_iterations if done != current_iter), current_iter]
        state = {
            'epoch': epoch,
            'iter': current_iter,
            'optimizers': [optimizer.state_dict() for optimizer in self.optimizers],
            'schedulers': [scheduler.state_dict() for scheduler in self.schedulers],
            'generators': generators,
            **self.kept_in_state(),
        }
        self._write_whole(state, Path(self.opt['path']['training_states'], f'{current_iter}.state'))
        self._remove_older()

    def _remove_older(self) -> None:
        keep = self.opt.get('logger', {}).get('keep_checkpoints')
        if keep is not None and this_process()[0] == 0:
            self.saved_iterations = remove_older(self.opt, self.saved_iterations, keep, self._saved_networks())

    def _saved_networks(self) -> list[str]:
        """The ``net_*`` of every checkpoint: of all networks but those that are frozen."""
        frozen = getattr(self, 'frozen_networks', ())
        sections = [key for key in self.opt if key.startswith('network_') and key not in frozen]
        return [section.replace('network_', 'net_') for section in sections]

    def _write_whole(self, content: Mapping[str, Any], path: Path) -> None:
        """By the first process, while the others wait."""
        with failing_together():
            if this_process()[0] == 0:
                with self._writing(path):
                    write_whole(content, path)

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        """Within it, what the disk refuses is a ``UserError`` that says how to go on."""
        try:
            yield
        except OSError as cause:
            raise write_failure(self.opt, path, cause) from cause

    def _save_picture(self, levels: NDArray[np.uint8], path: Path) -> None:
        """A PNG below ``path: visualization``, whole or not at all; BasicSR's ``imwrite`` takes a full disk for none.

        Args:
            levels: BGR, [h, w, 3].
            path: the file; folders that it needs are made.

        Raises:
            UserError: if it cannot be written.
        """
        _, encoded = cv2.imencode('.png', levels)
        with self._writing(path):
            os.stat(self.opt['path']['visualization'])  # not made anew: what it was on may no longer be mounted
            with whole_file(path, durable=False) as temporary:
                temporary.write_bytes(encoded.tobytes())

    def kept_in_state(self) -> dict[str, Any]:
        """What a state holds beside iteration, optimisers, schedules and generators: tensors and plain values alone.

        The same in all processes, as the first one writes it. Who adds to it takes its own back in
        :meth:`resume_training`; older states lack it.
        """
        return {
            'scaler': self.scaler.state_dict(),
            'best_metric_results': getattr(self, 'best_metric_results', {}),
            'saved_iterations': self.saved_iterations,
        }

    def resume_training(self, resume_state: Mapping[str, Any]) -> None:
        """Optimisers and schedulers by BasicSR, the model's generator, and the scaler of ``amp: fp16``.

        Raises:
            UserError: if the state is that of another model.
        """
        try:
            super().resume_training(resume_state)
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as cause:
            said = ' '.join(str(cause).split())[:160]
            raise UserError(
                f'{self.opt["path"].get("resume_state")}: is the state of another model or of other optimisers than '
                f'those of the option file ({said}): name another in path: resume_state'
            ) from cause
        if self._resumes_itself():
            self.saved_iterations = [int(done) for done in resume_state.get('saved_iterations', ())]
            self._remove_older()  # now, as the disk may have no room for one more
        self._resume_generator(resume_state)
        if self.scaler.is_enabled() and resume_state.get('scaler'):  # empty where it was not in use
            self.scaler.load_state_dict(dict(resume_state['scaler']))

    def _resumes_itself(self) -> bool:
        """Whether the resumed state is one of this experiment's own folder."""
        file = Path(self.opt['path'].get('resume_state') or '.')
        return file.parent.resolve() == Path(self.opt['path']['training_states']).resolve()

    def _resume_generator(self, resume_state: Mapping[str, Any]) -> None:
        """That of this process; of as many processes as saved the state, or anew."""
        rank, count = this_process()
        # One generator alone is that of a state from before there were several.
        generators = resume_state.get('generators') or [resume_state.get('generator')]
        if len(generators) == count and generators[rank] is not None:
            self.generator.set_state(generators[rank].cpu())
            return
        why = 'has none' if generators[0] is None else f'is of {len(generators)} processes, and resumed by {count}'
        get_root_logger().info(
            f'The state {why}: the random numbers of the model start anew, from manual_seed and the iteration.'
        )
        seeds = np.random.SeedSequence([int(self.opt.get('manual_seed') or 0), int(resume_state['iter']), rank])
        self.generator.manual_seed(int(seeds.generate_state(1)[0]))
