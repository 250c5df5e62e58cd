"""Multiply-adds, counted where nothing is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def multiply_adds(run: Callable[[], Any]) -> int | None:
    """The multiply-adds of convolutions and matrix products, half of what torch's counter calls FLOPs.

    What is done element by element (norms, activations, resizing) is not counted: it costs memory traffic, not
    arithmetic.

    Args:
        run: on torch's meta device, so that nothing is computed and no memory is taken.

    Returns:
        ``None`` where torch cannot do an operation without numbers.

    Example:
        >>> net = torch.nn.Conv2d(3, 8, 3, padding=1, device='meta')
        >>> multiply_adds(lambda: net(torch.empty(1, 3, 10, 10, device='meta'))) == 10 * 10 * 3 * 3 * 3 * 8
        True
    """
    counter = FlopCounterMode(display=False)
    try:
        with counter, torch.no_grad():
            run()
    except RuntimeError as cause:
        if isinstance(cause, NotImplementedError) or 'meta tensor' in str(cause):
            return None
        raise
    return int(counter.get_total_flops()) // 2
