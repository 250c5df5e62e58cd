"""Where a model computes: device, memory layout, precision, random numbers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from basicsr.models.base_model import BaseModel
from basicsr.utils import get_root_logger
from torch import Tensor, nn


class Placement(BaseModel):
    """Mixin of BasicSR's models: the options ``train: amp`` and ``train: channels_last``, and a generator of its own.

    Random numbers of the model come from ``generator``, so they do not hang on what BasicSR's loop draws from the
    global one.

    Args:
        opt: a parsed option file.
    """

    def __init__(self, opt: dict[str, Any]) -> None:
        self.generator = torch.Generator().manual_seed(int(opt.get('manual_seed') or 0) + int(opt.get('rank', 0)))
        train_opt: Mapping[str, Any] = opt.get('train') or {}
        self._amp = train_opt.get('amp') == 'bf16'
        self._memory_format = torch.channels_last if train_opt.get('channels_last') else torch.contiguous_format
        super().__init__(opt)
        name = torch.cuda.get_device_name(self.device) if self.device.type == 'cuda' else ''
        get_root_logger().info(f'Device: {self.device} {name or f"({torch.get_num_threads()} threads)"}')

    def model_to_device(self, net: nn.Module) -> nn.Module:
        """BasicSR's own, in the memory format that ``channels_last`` asks for."""
        moved: nn.Module = super().model_to_device(net.to(memory_format=self._memory_format))
        return moved

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._amp)

    def _to_device(self, picture: Tensor) -> Tensor:
        return picture.to(self.device, memory_format=self._memory_format, non_blocking=True)
