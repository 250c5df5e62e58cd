"""Torch's random numbers, drawn once more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RandomState:
    """Where torch's own generators stand, on the CPU and on one device: for dropout that is the same a second time.

    Example:
        >>> state = RandomState.of(torch.device('cpu'))
        >>> first = torch.rand(3)
        >>> with state.again():
        ...     bool((torch.rand(3) == first).all())
        True
    """

    device: torch.device
    on_cpu: Tensor
    on_device: Tensor | None

    @classmethod
    def of(cls, device: torch.device) -> RandomState:
        """The state of now."""
        return cls(device, torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == 'cuda' else None)

    @contextmanager
    def again(self) -> Iterator[None]:
        """Within it, numbers come as they came from this state on; behind it, as if it had not been."""
        with torch.random.fork_rng(devices=[] if self.on_device is None else [self.device]):
            torch.set_rng_state(self.on_cpu)
            if self.on_device is not None:
                torch.cuda.set_rng_state(self.on_device, self.device)
            yield
