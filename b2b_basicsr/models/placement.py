"""Where and how a model computes: device, memory layout, precision, compiled or not, random numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from basicsr.models.base_model import BaseModel
from basicsr.utils import get_root_logger
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from b2b_basicsr.half_precision import DTYPES, multiplying_in
from b2b_basicsr.models.compilation import compile_in_place
from b2b_basicsr.options.notes import taken_notes
from b2b_basicsr.processes import take_from_first

_SYNC_BUFFERS = next(  # the new name is for every pass alone, the old one for the start, too
    name
    for name in ('forward_sync_buffers', 'broadcast_buffers')
    if name in inspect.signature(DistributedDataParallel).parameters
)


class Placement(BaseModel):
    """Mixin of BasicSR's models: ``train: amp``, ``channels_last`` and ``compile``, and a generator of its own.

    Random numbers of the model come from ``generator``, so they do not hang on what BasicSR's loop draws from the
    global one. ``scaler`` keeps the gradients of ``amp: fp16`` within its range; without that it changes nothing.

    Args:
        opt: a parsed option file.
    """

    net_g: nn.Module

    def __init__(self, opt: dict[str, Any]) -> None:
        self.generator = torch.Generator().manual_seed(int(opt.get('manual_seed') or 0) + int(opt.get('rank', 0)))
        train_opt: Mapping[str, Any] = opt.get('train') or {}
        self._amp = DTYPES.get(train_opt.get('amp') or '')
        self._compiles = bool(opt.get('is_train') and train_opt.get('compile'))
        self._memory_format = torch.channels_last if train_opt.get('channels_last') else torch.contiguous_format
        device_type = 'cpu' if opt['num_gpu'] == 0 else 'cuda'
        self.scaler = torch.amp.GradScaler(device_type, enabled=self._amp is torch.float16)
        super().__init__(opt)
        name = torch.cuda.get_device_name(self.device) if self.device.type == 'cuda' else ''
        for line in taken_notes():
            get_root_logger().warning(line)
        get_root_logger().info(f'Device: {self.device} {name or f"({torch.get_num_threads()} threads)"}')

    def model_to_device(self, net: nn.Module) -> nn.Module:
        """BasicSR's own, in the memory format that ``channels_last`` asks for, and compiled where ``compile`` does.

        Several processes average gradients (``DistributedDataParallel``) where they train, and start from the first
        one's weights and buffers. Running statistics, if there are any, are each process's own from then on, until a
        validation takes the first one's: to hand them out before every pass would change them between the passes of
        one step.
        """
        self._compile(net)
        net = net.to(memory_format=self._memory_format)
        if not self.opt['dist']:
            moved: nn.Module = super().model_to_device(net)
            return moved
        if net is self.net_g:  # the first of them
            self._tell_of_processes()
        net = net.to(self.device)
        if not self.is_train:
            return net
        settings: dict[str, Any] = {
            'device_ids': [torch.cuda.current_device()] if self.device.type == 'cuda' else None,
            'find_unused_parameters': bool(self.opt.get('find_unused_parameters', False)),
            _SYNC_BUFFERS: False,
        }
        joined = DistributedDataParallel(net, **settings)
        if _SYNC_BUFFERS == 'broadcast_buffers':  # which leaves them out of what it hands out at first, too
            take_from_first(net, parameters=False)
        return joined

    def _tell_of_processes(self) -> None:
        backend, asked = dist.get_backend(), (self.opt.get('dist_params') or {}).get('backend', 'nccl')
        why = '' if backend == asked else f', since dist_params: backend: {asked} does not serve the {self.device}'
        get_root_logger().info(f'Processes: {dist.get_world_size()}, over {backend}{why}.')

    def _frozen(self, net: nn.Module) -> nn.Module:
        """A network that is not trained, laid out as pictures are, and its weights as autocast makes them."""
        net = net.to(memory_format=self._memory_format)
        return net if self._amp is None else multiplying_in(self._amp, net)

    def _compile(self, net: nn.Module) -> None:
        if self._compiles:
            # With accum_iter G runs twice, with gradients and without, and must drop the same channels.
            compile_in_place(net, same_random_numbers=self.opt['train'].get('accum_iter', 1) > 1)

    def _plain(self, net: nn.Module) -> Callable[..., Any]:
        """A network past what was put around it.

        That is compilation, which goes neither with the penalty's second derivative nor with pictures of many sizes,
        and the waiting for other processes.
        """
        bare: nn.Module = self.get_bare_model(net)
        return bare.forward if self._compiles else bare

    @staticmethod
    def _accumulating(net: nn.Module, more_to_come: bool) -> AbstractContextManager[None]:
        """For forward and backward passes of ``net`` whose gradients other processes need not hear of yet."""
        return net.no_sync() if more_to_come and isinstance(net, DistributedDataParallel) else nullcontext()

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(self.device.type, self._amp, enabled=self._amp is not None)

    def _to_device(self, picture: Tensor) -> Tensor:
        if picture.is_cuda:
            # From BasicSR's prefetcher, which fills it on another stream, and would again while it is in use here.
            picture.record_stream(torch.cuda.current_stream())
        return picture.to(self.device, memory_format=self._memory_format, non_blocking=True)
