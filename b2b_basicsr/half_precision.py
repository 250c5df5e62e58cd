"""Numbers of 16 bits: what networks multiply in under autocast."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

DTYPES = {'bf16': torch.bfloat16, 'fp16': torch.float16}
"""By the names that options give them."""

_MULTIPLYING = (nn.modules.conv._ConvNd, nn.Linear)


def multiplying_in(dtype: torch.dtype, net: nn.Module) -> nn.Module:
    """Puts the weights of a frozen network's convolutions and linear layers in the type that autocast multiplies in.

    Autocast would convert them anew at every pass; under it the result is the same, bit for bit, if the network uses
    these weights in no other way. Weights that are computed themselves (spectral norm, by torch's old hooks, too) stay
    as they are, and so do the others: with all in 16 bits, the picture that networks add their output to would be
    rounded to 16 bits, too, which costs 4 to 11 dB (``benchmarks/precision.py``) and wins little time.

    Args:
        dtype: of :data:`DTYPES`.
        net: any network; it is changed, and given back.
    """
    for module in net.modules():
        of_itself = dict(module.named_parameters(recurse=False))  # the old hooks' weight is no parameter
        if isinstance(module, _MULTIPLYING) and 'weight' in of_itself and not is_parametrized(module):
            module.to(dtype)
    return net
