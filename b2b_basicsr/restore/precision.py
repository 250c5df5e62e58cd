"""Networks that compute in 16 bits."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from b2b_basicsr.errors import UserError
from b2b_basicsr.half_precision import DTYPES, multiplying_in

Precision = Literal['fp32', 'bf16', 'fp16']
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def check_precision(precision: str) -> None:
    """Refuses what is none.

    Raises:
        UserError: likewise.
    """
    if precision not in PRECISIONS:
        raise UserError(f'precision: {precision!r}; give {", ".join(PRECISIONS[:-1])} or {PRECISIONS[-1]}')


def prepared_for(precision: Precision, net: nn.Module) -> list[nn.Module]:
    """Networks of which the first that runs under :func:`computing_in` is to be used: all give the same.

    Args:
        precision: to compute in.
        net: any network; it is not changed.

    Returns:
        In 16 bits, a copy whose convolutions and linear layers have 16-bit weights; at the end the network itself,
        which in some part may switch autocast off, and multiply in 32 bits there.
    """
    if precision == 'fp32':
        return [net]
    try:
        copied = copy.deepcopy(net)
    except RuntimeError:  # torch copies no weights that the old hook of weight norm has computed
        return [net]
    return [multiplying_in(DTYPES[precision], copied), net]


def computing_in(precision: Precision, device_type: str) -> AbstractContextManager[object]:
    """Where networks multiply in that precision.

    Args:
        precision: to compute in.
        device_type: ``'cpu'`` or ``'cuda'``, say.
    """
    return nullcontext() if precision == 'fp32' else torch.autocast(device_type, DTYPES[precision])


def refuse_overflow(precision: Precision, results: tuple[Tensor, ...]) -> None:
    """Whether fp16, whose numbers end at 65504, was too small for a network; its result would be black.

    Args:
        precision: it was computed in; in the others nothing is looked at.
        results: of networks.

    Raises:
        UserError: if a number is not finite.
    """
    if precision == 'fp16' and not all(bool(torch.isfinite(one).all()) for one in results):
        raise UserError('precision: fp16 overflows in these networks; give bf16 or fp32')
