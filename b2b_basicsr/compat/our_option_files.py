"""Which option files our mends and checks are for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from b2b_basicsr.registration import is_ours


def is_our_option_file(opt: Mapping[str, Any]) -> bool:
    """Tell whether options name a model type or a data set type of ours."""
    from basicsr.utils.registry import DATASET_REGISTRY

    datasets = opt.get('datasets')
    sections = datasets.values() if isinstance(datasets, Mapping) else ()
    return is_our_model(opt) or any(
        is_ours(DATASET_REGISTRY, section.get('type')) for section in sections if isinstance(section, Mapping)
    )


def is_our_model(opt: Mapping[str, Any]) -> bool:
    """Tell whether options name a model of ours; others may train beside a data set of ours."""
    from basicsr.utils.registry import MODEL_REGISTRY

    return is_ours(MODEL_REGISTRY, opt.get('model_type'))


def may_be_our_option_file(path: str | Path) -> bool:
    """Tell whether a file names anything of ours, without making the values of it, which might run code.

    One that cannot be read, is no YAML, or holds no options, may be.
    """
    import yaml

    try:
        with open(path, encoding='utf-8') as file:
            events = list(yaml.parse(file))
    except (OSError, ValueError, yaml.YAMLError):
        return True
    holds_options = any(isinstance(event, yaml.MappingStartEvent) for event in events[2:3])  # stream, document, node
    return not holds_options or any(
        _is_our_name(event.value) for event in events if isinstance(event, yaml.ScalarEvent)
    )


def _is_our_name(name: str) -> bool:
    from basicsr.utils import registry

    registries = ('ARCH', 'DATASET', 'LOSS', 'METRIC', 'MODEL')
    return any(is_ours(getattr(registry, f'{kind}_REGISTRY'), name) for kind in registries)
