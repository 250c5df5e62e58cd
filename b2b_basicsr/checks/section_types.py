"""Which type an option section has, by what its ``type`` stands for in BasicSR's registries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY
from pydantic import create_model

from b2b_basicsr.data.loader_options import (
    PairedFolderOptions,
    PairedFolderTrainOptions,
    PairedImageOptions,
    PairedImageTrainOptions,
    SingleFolderOptions,
    SingleImageOptions,
)
from b2b_basicsr.data.unpaired_blur_options import UnpairedBlurOptions
from b2b_basicsr.models.loss_options import BASICSR_LOSSES
from b2b_basicsr.models.val_options import BASICSR_METRICS, MetricOptions
from b2b_basicsr.options.constructor_section import constructor_section
from b2b_basicsr.options.section import OptionSection
from b2b_basicsr.registration import is_our_object

PICTURES = ('img', 'img2', 'deblurred_from')
"""A metric's arguments that are no keys."""

TRAINING_SETS: dict[str, type[OptionSection]] = {
    'UnpairedBlurDataset': UnpairedBlurOptions,
    'PairedFolderDataset': PairedFolderTrainOptions,
    'PairedImageDataset': PairedImageTrainOptions,
}
"""``datasets: train: type`` -> the section."""

PICTURE_SETS: dict[str, type[OptionSection]] = {
    'PairedFolderDataset': PairedFolderOptions,
    'SingleFolderDataset': SingleFolderOptions,
    'PairedImageDataset': PairedImageOptions,
    'SingleImageDataset': SingleImageOptions,
}
"""``datasets: val: type``, and tests' -> the section."""


def network_section(kind: Any) -> type[OptionSection] | None:
    """The type of a network's section; ``None`` for somebody else's."""
    return constructor_section(kind) if is_our_object(kind) else None


def loss_section(kind: Any) -> type[OptionSection] | None:
    """The type of a loss's section; ``None`` for somebody else's but BasicSR's that ours are used with."""
    if is_our_object(kind):
        return constructor_section(kind)
    return BASICSR_LOSSES.get(kind.__name__) if _is_basicsrs(kind) else None


def metric_section(kind: Any) -> type[OptionSection] | None:
    """The type of a metric's section; ``None`` for somebody else's but BasicSR's."""
    if is_our_object(kind):
        arguments = constructor_section(kind, PICTURES)
        better = MetricOptions.model_fields['better']
        added: dict[str, Any] = {'better': (better.annotation, better)}
        return create_model(kind.__name__, __base__=arguments, __doc__=arguments.__doc__, **added)
    return BASICSR_METRICS.get(kind.__name__) if _is_basicsrs(kind) else None


def dataset_section(kind: Any, phase: str) -> type[OptionSection] | None:
    """The type of a data set's section; ``None`` for somebody else's but two of BasicSR's.

    Args:
        kind: what is registered.
        phase: the section's name.
    """
    known = TRAINING_SETS if phase == 'train' else PICTURE_SETS
    return known.get(kind.__name__) if is_our_object(kind) or _is_basicsrs(kind) else None


def known_networks() -> dict[str, type[OptionSection]]:
    """Our networks' sections."""
    return _ours(ARCH_REGISTRY, constructor_section)


def known_losses() -> dict[str, type[OptionSection]]:
    """The sections of our losses, and of BasicSR's that ours are used with."""
    return {**_ours(LOSS_REGISTRY, constructor_section), **BASICSR_LOSSES}


def known_metrics() -> dict[str, type[OptionSection]]:
    """The sections of our metrics, and of BasicSR's."""
    return {**_ours(METRIC_REGISTRY, lambda kind: metric_section(kind) or OptionSection), **BASICSR_METRICS}


def known_datasets() -> dict[str, type[OptionSection]]:
    """The data sets that are ours in the registry, by their ``type``, for those who look for one that is left out."""
    return _ours(DATASET_REGISTRY, lambda kind: TRAINING_SETS.get(kind.__name__) or PICTURE_SETS[kind.__name__])


def _ours(registry: Any, section: Callable[[Any], type[OptionSection]]) -> dict[str, type[OptionSection]]:
    ours = {kind.__name__: kind for _, kind in registry if is_our_object(kind)}
    return {name: section(ours[name]) for name in sorted(ours)}


def _is_basicsrs(kind: Any) -> bool:
    return str(getattr(kind, '__module__', '')).startswith('basicsr.')
