"""The blur of a lens out of focus."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def defocus_kernel(radius: float) -> NDArray[np.float32]:
    """A disc of ``radius`` pixels, its rim antialiased: float32 [k, k] with k odd, sum 1.

    Example:
        >>> kernel = defocus_kernel(1.5)
        >>> kernel.shape, round(float(kernel.sum()), 4)
        ((5, 5), 1.0)
    """
    reach = math.ceil(radius)
    fine = 8
    places = (np.arange((2 * reach + 1) * fine) + 0.5) / fine - reach - 0.5
    disc = (places[:, None] ** 2 + places**2 <= radius**2).astype(np.float32)
    kernel = disc.reshape(2 * reach + 1, fine, 2 * reach + 1, fine).sum((1, 3))
    normalised: NDArray[np.float32] = kernel / kernel.sum()
    return normalised
