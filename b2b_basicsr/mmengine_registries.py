"""Our networks, losses, data sets and sampler in mmengine's registries, scope ``b2b``. Importing this is enough.

In a script ``import b2b_basicsr.mmengine_registries``, in a config file
``custom_imports = dict(imports=['b2b_basicsr.mmengine_registries'])``; then
``MODELS.build(dict(type='b2b.MIMOUNet'))`` works with mmengine's registries and those of all suites on top of it.

- ``MODELS``: the networks and the losses, by the names and with the arguments that they have in BasicSR.
- ``DATASETS``: the data sets, with the keys of their option section as arguments.
- ``DATA_SAMPLERS``: ``PositionedSampler``, which :class:`UnpairedBlurDataset` needs: with mmengine's own samplers it
  would draw the same crops in every epoch.

Example:
    >>> from mmengine.registry import MODELS
    >>> MODELS.build(dict(type='b2b.BlockMeanLoss', block=16)).block
    16
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

try:
    from mmengine import registry as mmengine_registry
    from mmengine.dist import get_dist_info, sync_random_seed
except ModuleNotFoundError as cause:
    if cause.name is None or cause.name.split('.')[0] != 'mmengine':
        raise
    raise ModuleNotFoundError(
        "b2b_basicsr.mmengine_registries: mmengine is not installed; pip install 'b2b-basicsr[mmengine]'",
        name=cause.name,
    ) from None

from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY
from torch.utils.data import Dataset

from b2b_basicsr.data.positioned_sampler import PositionedSampler
from b2b_basicsr.registration import is_our_object, register

SCOPE = 'b2b'
"""What stands before the dot in ``type='b2b.MIMOUNet'``."""

_HERE = {'scope': SCOPE, 'locations': [__name__]}
MODELS = mmengine_registry.Registry('model', parent=mmengine_registry.MODELS, **_HERE)
DATASETS = mmengine_registry.Registry('dataset', parent=mmengine_registry.DATASETS, **_HERE)
DATA_SAMPLERS = mmengine_registry.Registry('data sampler', parent=mmengine_registry.DATA_SAMPLERS, **_HERE)

# What BasicSR's own scripts put into a section or want there, and mmengine has elsewhere.
_DEFAULTS: dict[str, dict[str, Any]] = {
    'UnpairedBlurDataset': {'batch_size_per_gpu': 1},
    'PairedFolderDataset': {'name': 'paired', 'phase': 'val', 'scale': 1},
    'SingleFolderDataset': {'name': 'single', 'phase': 'val', 'scale': 1},
}


def _ours(registry: Any) -> Iterator[type[Any]]:
    """Our classes in one of BasicSR's registries, under whatever name they stand there."""
    for _, kind in registry:
        if inspect.isclass(kind) and is_our_object(kind):
            yield kind


def _plain(value: Any) -> Any:
    """A value of an mmengine config without mmengine's types."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _from_keys(kind: type[Dataset[Any]]) -> Callable[..., Dataset[Any]]:
    """Builds a data set from its keys; BasicSR hands them over as one dict."""

    @functools.wraps(kind, updated=())
    def build(**keys: Any) -> Dataset[Any]:
        defaults = {'type': kind.__name__, 'io_backend': {'type': 'disk'}, **_DEFAULTS.get(kind.__name__, {})}
        return kind({**defaults, **_plain(keys)})  # type: ignore[call-arg]

    return build


def _positioned_sampler(dataset: Any, seed: int | None = None, ratio: float = 1) -> PositionedSampler:
    """``PositionedSampler`` for this process of mmengine's.

    Args:
        dataset: the training set, which mmengine's runner hands over.
        seed: the runner does so, too; drawn, and the same in all processes, where it has none.
        ratio: an epoch is so many passes over the set.
    """
    rank, processes = get_dist_info()
    return PositionedSampler(dataset, processes, rank, ratio, seed=sync_random_seed() if seed is None else seed)


register()
for _kind in (*_ours(ARCH_REGISTRY), *_ours(LOSS_REGISTRY)):
    MODELS.register_module(name=_kind.__name__, module=_kind)
for _kind in _ours(DATASET_REGISTRY):
    DATASETS.register_module(name=_kind.__name__, module=_from_keys(_kind))
DATA_SAMPLERS.register_module(name='PositionedSampler', module=_positioned_sampler)
