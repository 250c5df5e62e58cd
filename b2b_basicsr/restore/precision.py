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


def prepared_for(precision: Precision, net: nn.Module) -> nn.Module:
    """A copy of a network whose convolutions and linear layers have 16-bit weights; in fp32 the network itself.

    Run it under :func:`computing_in`.

    Args:
        precision: to compute in.
        net: any network; it is not changed.
    """
    return net if precision == 'fp32' else multiplying_in(DTYPES[precision], copy.deepcopy(net))


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
