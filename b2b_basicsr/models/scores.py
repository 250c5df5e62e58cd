"""Metrics of a restored picture beside those of the same picture deblurred directly."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from basicsr.metrics import calculate_metric
from basicsr.utils.registry import METRIC_REGISTRY
from numpy.typing import NDArray

DIRECT = '_direct'
GAIN = 'gain'
Levels = NDArray[np.uint8]


class Scores:
    """The metrics of an option file's ``val: metrics``.

    For every metric ``m`` the restored picture's value stands under ``m``, the directly deblurred one's under
    ``m_direct``. For PSNR there is the gain, ``m - m_direct``: under ``gain`` for the first PSNR entry, under
    ``gain_m`` for any other.

    Args:
        metrics: entry name -> BasicSR's metric section (``type`` and the metric's own keys).
    """

    def __init__(self, metrics: Mapping[str, Mapping[str, Any]]) -> None:
        self._options = {
            name: {key: value for key, value in section.items() if key != 'better'} for name, section in metrics.items()
        }
        self._better = {name: str(section.get('better', 'higher')) for name, section in metrics.items()}
        signatures = {
            name: inspect.signature(METRIC_REGISTRY.get(section['type'])).parameters
            for name, section in metrics.items()
        }
        self._needs_gt = {name for name, parameters in signatures.items() if 'img2' in parameters}
        psnr = [name for name, section in metrics.items() if section['type'] in ('calculate_psnr', 'calculate_psnr_pt')]
        self._gains = {name: GAIN if place == 0 else f'{GAIN}_{name}' for place, name in enumerate(psnr)}

    def of(self, picture: Levels, gt: Levels | None) -> dict[str, float]:
        """Every metric of one picture; without ground truth, those that need none.

        Args:
            picture: uint8 [h, w, 3], BGR.
            gt: the sharp picture alike, or ``None``.
        """
        data = {'img': picture} if gt is None else {'img': picture, 'img2': gt}
        return {
            name: float(calculate_metric(data, section))
            for name, section in self._options.items()
            if gt is not None or name not in self._needs_gt
        }

    def beside(self, restored: Mapping[str, float], direct: Mapping[str, float] | None) -> dict[str, float]:
        """One picture's values under the names above; ``direct`` is ``None`` where there is no deblurrer."""
        values = dict(restored)
        for name, value in (direct or {}).items():
            values[name + DIRECT] = value
        for name, gain in self._gains.items():
            if direct is not None and name in restored:
                values[gain] = restored[name] - direct[name]
        return values

    def names(self, deblurs: bool) -> set[str]:
        """Every name under which a value can stand."""
        names = set(self._options)
        if deblurs:
            names |= {name + DIRECT for name in self._options} | set(self._gains.values())
        return names

    def better(self, name: str) -> str:
        """``higher`` or ``lower``, as the entry says; a gain is better higher."""
        return self._better.get(name.removesuffix(DIRECT), 'higher')
