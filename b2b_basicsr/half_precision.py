"""Numbers of 16 bits: what networks multiply in under autocast."""

from __future__ import annotations

import torch
from torch import nn

DTYPES = {'bf16': torch.bfloat16, 'fp16': torch.float16}
"""By the names that options give them."""

_MULTIPLYING = (nn.modules.conv._ConvNd, nn.Linear)


def multiplying_in(dtype: torch.dtype, net: nn.Module) -> nn.Module:
    """Puts the weights of a frozen network's convolutions and linear layers in the type that autocast multiplies in.

    Autocast would convert them anew at every pass; under it the result is the same, bit for bit. The other weights
    stay: with all in 16 bits, the picture that networks add their output to would be rounded to 16 bits, too, which
    costs 4 to 11 dB (``benchmarks/precision.py``) and wins little time.

    Args:
        dtype: of :data:`DTYPES`.
        net: any network; it is changed, and given back.
    """
    for module in net.modules():
        if isinstance(module, _MULTIPLYING):
            module.to(dtype)
    return net
