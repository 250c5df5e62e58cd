"""Multiply-adds of what runs, by the network that does them, forward and backward."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import conv_flop_count, flop_registry

REST = 'gradient of the penalty'
"""What no part's own passes do: in a training step the second derivatives that ``gp_opt`` takes through D."""


class PartCounter(TorchDispatchMode):
    """Counts multiply-adds by the part they belong to, and by direction.

    A part's nodes of the autograd graph are found behind the outputs of its modules; while one is at work, backward,
    what it does is the part's.

    torch's own ``FlopCounterMode`` cannot be used where a module is differentiated by ``torch.autograd.grad`` (a
    gradient penalty), and counts too much for the gradients of grouped convolutions.

    Args:
        parts: name -> module. Without any, everything is under :data:`REST`.

    Attributes:
        counts: (name, ``forward`` or ``backward``) -> multiply-adds.

    Example:
        >>> net, picture = torch.nn.Conv2d(3, 8, 3, padding=1), torch.rand(1, 3, 10, 10)
        >>> with PartCounter({'net': net}) as counter:
        ...     net(picture).sum().backward()
        >>> counter.counts['net', 'forward'] == counter.counts['net', 'backward'] == 10 * 10 * 3 * 3 * 3 * 8
        True
    """

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.counts: Counter[tuple[str, str]] = Counter()
        self._running: list[tuple[str, str]] = []
        self._known: set[Any] = set()
        for name, part in parts.items():
            for module in part.modules():
                module.register_forward_pre_hook(partial(self._begin, name))
                module.register_forward_hook(partial(self._end, name))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        flops = _flops(func, args, kwargs or {}, result)
        if flops:
            self.counts[self._place()] += flops // 2
        return result

    def _place(self) -> tuple[str, str]:
        if self._running:
            return self._running[-1]
        return REST, 'backward'

    def _begin(self, name: str, module: nn.Module, inputs: Any) -> None:
        self._running.append((name, 'forward'))

    def _end(self, name: str, module: nn.Module, inputs: Any, outputs: Any) -> None:
        self._running.pop()
        waiting = [tensor.grad_fn for tensor in _tensors(outputs)]
        while waiting:
            node = waiting.pop()
            if node is None or node in self._known:
                continue
            self._known.add(node)
            node.register_prehook(partial(self._begin_backward, name))
            node.register_hook(self._end_backward)
            waiting += [following for following, _ in node.next_functions]

    def _begin_backward(self, name: str, gradients: Any) -> None:
        self._running.append((name, 'backward'))

    def _end_backward(self, inputs: Any, outputs: Any) -> None:
        self._running.pop()


def _flops(func: Any, args: Any, kwargs: Mapping[str, Any], result: Any) -> int:
    if func is torch.ops.aten.convolution_backward.default:
        # Each gradient takes what the pass forward took. (torch's own count has groups of channels too often.)
        gradient, picture, weight, *_, transposed, _, _, wanted = args
        of_one = conv_flop_count(picture.shape, weight.shape, gradient.shape, transposed=transposed)
        return of_one * sum(wanted[:2])
    count = flop_registry.get(func._overloadpacket)
    return 0 if count is None else int(count(*args, **kwargs, out_val=result))


def _tensors(values: Any) -> list[Tensor]:
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, Mapping):
        values = list(values.values())
    return [tensor for value in values for tensor in _tensors(value)] if isinstance(values, list | tuple) else []
