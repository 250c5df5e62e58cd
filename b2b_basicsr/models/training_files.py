"""What a training reads and leaves behind: weights, checkpoints, the state to resume from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from basicsr.models.base_model import BaseModel
from basicsr.utils import get_root_logger
from basicsr.utils.dist_util import master_only
from torch import nn

from b2b_basicsr.models.checkpoint import load_weights, write_whole
from b2b_basicsr.processes import gathered_by_first, this_process


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

    @master_only
    def save_network(
        self,
        net: nn.Module | list[nn.Module],
        net_label: str,
        current_iter: int | str,
        param_key: str | list[str] = 'params',
    ) -> None:
        """BasicSR's checkpoint (``params``, ``params_ema``) and, under ``network``, the network's option section.

        Raises:
            OSError: if the file cannot be written; the one before it stays whole.
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
        write_whole(content, Path(self.opt['path']['models'], f'{net_label}_{label}.pth'))

    def save_training_state(self, epoch: int, current_iter: int) -> None:
        """BasicSR's state, and what ours adds: the generators of all processes and the best values so far."""
        if current_iter == -1:
            return
        generators = gathered_by_first(self.generator.get_state())
        if generators is None:  # the first process writes
            return
        state = {
            'epoch': epoch,
            'iter': current_iter,
            'optimizers': [optimizer.state_dict() for optimizer in self.optimizers],
            'schedulers': [scheduler.state_dict() for scheduler in self.schedulers],
            'generators': generators,
            'scaler': self.scaler.state_dict(),
            'best_metric_results': getattr(self, 'best_metric_results', {}),
        }
        write_whole(state, Path(self.opt['path']['training_states'], f'{current_iter}.state'))

    def resume_training(self, resume_state: Mapping[str, Any]) -> None:
        """Optimisers and schedulers by BasicSR, the model's generator, and the scaler of ``amp: fp16``."""
        super().resume_training(resume_state)
        self._resume_generator(resume_state)
        if self.scaler.is_enabled() and resume_state.get('scaler'):  # empty where it was not in use
            self.scaler.load_state_dict(dict(resume_state['scaler']))

    def _resume_generator(self, resume_state: Mapping[str, Any]) -> None:
        """That of this process; of as many processes as saved the state, or anew."""
        rank, count = this_process()
        # One generator alone is that of a state from before there were several.
        generators = resume_state['generators'] if 'generators' in resume_state else [resume_state['generator']]
        if len(generators) == count:
            self.generator.set_state(generators[rank].cpu())
            return
        get_root_logger().info(
            f'The state is of {len(generators)} processes, and resumed by {count}: the random numbers of the model '
            'start anew, from manual_seed and the iteration.'
        )
        seeds = np.random.SeedSequence([int(self.opt.get('manual_seed') or 0), int(resume_state['iter']), rank])
        self.generator.manual_seed(int(seeds.generate_state(1)[0]))
