"""The names under which scores stand, in logs, tables and option files."""

from __future__ import annotations

from dataclasses import dataclass

BLURRY = '_blurry'
"""Behind a metric's name: of the blurry picture as it is."""

DIRECT = '_direct'
"""Behind a metric's name: deblurred without translation."""

NO_BLUR = '_no_blur'
"""Behind a metric's name: of the sharp picture, against the blurry one."""

GAIN = 'gain'
"""The result's PSNR less a baseline's; of any PSNR entry but the first it is ``gain_NAME``."""


@dataclass(frozen=True)
class Comparison:
    """What a model's result is compared with.

    Args:
        baselines: what stands behind a metric's name for the value of each.
        gain_over: the one of them that the gain is over; ``None`` if there is no gain.
    """

    baselines: tuple[str, ...]
    gain_over: str | None = None


def is_gain(name: str) -> bool:
    """Whether a name stands for a gain.

    Example:
        >>> is_gain('gain'), is_gain('gain_psnr_y'), is_gain('psnr')
        (True, True, False)
    """
    return name == GAIN or name.startswith(f'{GAIN}_')
