"""Nothing that a training or a test loads runs code, whoever loads it."""

from __future__ import annotations

import os


def load_weights_only() -> None:
    """From now on ``torch.load`` reads no objects that could run code, not even where a caller would have it so.

    We ask for that ourselves. BasicSR's networks with files of their own, its FID, and other packages may not, and
    torch before 2.6 does not do it of itself. Who trusts such a file sets torch's ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD``,
    or ``TORCH_FORCE_WEIGHTS_ONLY_LOAD=0``, in the environment; our own loading stays as it is.
    """
    if 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD' not in os.environ:
        os.environ.setdefault('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '1')
