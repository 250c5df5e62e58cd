"""Metrics of a result beside those of a baseline: deblurred after translation, say, and deblurred directly."""

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

    For every metric ``m`` the result's value stands under ``m``, the baseline's under ``m_direct`` (or with another
    ``baseline``). For PSNR there is the gain, their difference: under ``gain`` for the first PSNR entry, under
    ``gain_m`` for any other.

    Args:
        metrics: entry name -> BasicSR's metric section (``type`` and the metric's own keys).
        baseline: what is put behind the name of a baseline's value.
    """

    def __init__(self, metrics: Mapping[str, Mapping[str, Any]], baseline: str = DIRECT) -> None:
        self._baseline = baseline
        self._options = {
            name: {key: value for key, value in section.items() if key != 'better'} for name, section in metrics.items()
        }
        functions = {name: METRIC_REGISTRY.get(section['type']) for name, section in metrics.items()}
        self._better = {
            name: str(section.get('better') or getattr(functions[name], 'better', 'higher'))
            for name, section in metrics.items()
        }
        signatures = {name: inspect.signature(function).parameters for name, function in functions.items()}
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

    def beside(self, result: Mapping[str, float], baseline: Mapping[str, float] | None) -> dict[str, float]:
        """One picture's values under the names above; ``baseline`` is ``None`` where there is none."""
        values = dict(result)
        for name, value in (baseline or {}).items():
            values[name + self._baseline] = value
        for name, gain in self._gains.items():
            if baseline is not None and name in result:
                values[gain] = result[name] - baseline[name]
        return values

    def names(self, with_baseline: bool) -> set[str]:
        """Every name under which a value can stand."""
        names = set(self._options)
        if with_baseline:
            names |= {name + self._baseline for name in self._options} | set(self._gains.values())
        return names

    def is_baseline(self, name: str) -> bool:
        """Whether a name stands for a baseline's value."""
        return name.endswith(self._baseline)

    def needs_gt(self, name: str) -> bool:
        """Whether a value hangs on the ground truth."""
        return name in self._gains.values() or name.removesuffix(self._baseline) in self._needs_gt

    def better(self, name: str) -> str:
        """``higher`` or ``lower``, as the entry or else the metric itself says; a gain is better higher."""
        return self._better.get(name.removesuffix(self._baseline), 'higher')
