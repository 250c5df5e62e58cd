"""Which option files our mends and checks are for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from b2b_basicsr.registration import is_ours


def is_our_option_file(opt: Mapping[str, Any]) -> bool:
    """Tell whether options name a model type or a data set type of ours."""
    from basicsr.utils.registry import DATASET_REGISTRY, MODEL_REGISTRY

    datasets = opt.get('datasets')
    sections = datasets.values() if isinstance(datasets, Mapping) else ()
    return is_ours(MODEL_REGISTRY, opt.get('model_type')) or any(
        is_ours(DATASET_REGISTRY, section.get('type')) for section in sections if isinstance(section, Mapping)
    )
