"""What a metric tells of itself to validation and to the check of options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

_Metric = TypeVar('_Metric', bound=Callable[..., float])


def metric_traits(
    better: Literal['higher', 'lower'], check: Callable[..., None] | None = None
) -> Callable[[_Metric], _Metric]:
    """A decorator of metrics: sets the attributes ``better`` and, if given, ``check``.

    Args:
        better: what ``val: metrics: NAME: better`` is where it is not given. For metrics without it, ``higher``.
        check: called with the metric's keys when options are checked, before anything is created; raises ``UserError``
            for what would end the first validation, such as missing weights.
    """

    def decorate(metric: _Metric) -> _Metric:
        traits: dict[str, Any] = {'better': better} if check is None else {'better': better, 'check': check}
        vars(metric).update(traits)
        return metric

    return decorate
