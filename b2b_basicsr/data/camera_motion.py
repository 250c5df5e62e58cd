"""How a camera moves during one exposure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CameraMotion:
    """Where the picture stands on the sensor at even instants of the exposure.

    At an instant, what lies at p (relative to the optical centre) is drawn at ``turn`` applied to p, plus ``shift``.
    Both are about their means, so that nothing is displaced as a whole.

    Args:
        shift: [instants, 2], x to the right and y downwards, in pixels.
        turn: [instants], about the optical centre, in radians, clockwise as the picture is seen.
    """

    shift: NDArray[np.float64]
    turn: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.turn)
