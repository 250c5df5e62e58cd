"""Metrics of a result beside those of its baselines: the blurry picture as it is, say, and deblurred directly."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from basicsr.metrics import calculate_metric
from basicsr.utils.registry import METRIC_REGISTRY
from numpy.typing import NDArray

from b2b_basicsr.records.score_names import GAIN, Comparison

Levels = NDArray[np.uint8]


class Scores:
    """The metrics of an option file's ``val: metrics``.

    For every metric ``m`` the result's value stands under ``m``, a baseline's under ``m_blurry``, say. For PSNR there
    is the gain, the result less one of the baselines: under ``gain`` for the first PSNR entry, under ``gain_m`` for any
    other.

    Args:
        metrics: entry name -> BasicSR's metric section (``type`` and the metric's own keys).
        comparison: which baselines there are, and which of them the gain is over.
    """

    def __init__(self, metrics: Mapping[str, Mapping[str, Any]], comparison: Comparison) -> None:
        self._comparison = comparison
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
        self._needs_source = {name for name, parameters in signatures.items() if 'deblurred_from' in parameters}
        psnr = [name for name, section in metrics.items() if section['type'] in ('calculate_psnr', 'calculate_psnr_pt')]
        with_gain = psnr if comparison.gain_over is not None else []
        self._gains = {name: GAIN if place == 0 else f'{GAIN}_{name}' for place, name in enumerate(with_gain)}

    def of(self, picture: Levels, gt: Levels | None, deblurred_from: Levels | None = None) -> dict[str, float]:
        """Every metric of one picture; without ground truth, those that need none.

        Args:
            picture: uint8 [h, w, 3], BGR.
            gt: the sharp picture alike, or ``None``.
            deblurred_from: what the deblurrer made it of, alike; ``None``, and metrics that need it are left out.
        """
        data = {'img': picture} if gt is None else {'img': picture, 'img2': gt}
        source = {} if deblurred_from is None else {'deblurred_from': deblurred_from}
        return {
            name: float(calculate_metric(data | source if name in self._needs_source else data, section))
            for name, section in self._options.items()
            if (gt is not None or name not in self._needs_gt) and (source or name not in self._needs_source)
        }

    def beside(self, result: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        """One picture's values under the names above.

        Args:
            result: metric -> value.
            baselines: a baseline's ending -> its values, alike; those that this picture lacks are left out.
        """
        values = dict(result)
        for ending in self._comparison.baselines:
            values |= {name + ending: value for name, value in baselines.get(ending, {}).items()}
        over = baselines.get(self._comparison.gain_over or '', {})
        for name, gain in self._gains.items():
            if name in over and name in result:
                values[gain] = result[name] - over[name]
        return values

    def names(self) -> set[str]:
        """Every name under which a value can stand."""
        with_baselines = {name + ending for name in self._options for ending in self._comparison.baselines}
        return {*self._options, *with_baselines, *self._gains.values()}

    def is_baseline(self, name: str) -> bool:
        """Whether a name stands for a baseline's value."""
        return self._metric(name) != name

    def needs_gt(self, name: str) -> bool:
        """Whether a value hangs on the ground truth."""
        return name in self._gains.values() or self._metric(name) in self._needs_gt

    def better(self, name: str) -> str:
        """``higher`` or ``lower``, as the entry or else the metric itself says; a gain is better higher."""
        return self._better.get(self._metric(name), 'higher')

    def _metric(self, name: str) -> str:
        """The entry whose value, or whose baseline's, stands under a name."""
        stems = (name.removesuffix(ending) for ending in self._comparison.baselines if name.endswith(ending))
        return name if name in self._options else next((stem for stem in stems if stem in self._options), name)
