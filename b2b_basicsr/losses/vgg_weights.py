"""Where BasicSR's VGG gets its weights, decided by an option."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import basicsr.archs.vgg_arch as vgg_arch
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from b2b_basicsr.errors import UserError
from b2b_basicsr.losses.imagenet_weights import imagenet_weights

_OPTION_KEY = 'train:vgg_weights'
_LAYOUTS = {'vgg11': 'A', 'vgg13': 'B', 'vgg16': 'D', 'vgg19': 'E'}


def vgg_features(vgg_type: str, source: str | None, option_key: str = 'vgg_type') -> nn.Sequential:
    """VGG's convolutional part with torchvision's weights; the classifier, nine tenths of the file, is not built.

    Args:
        vgg_type: ``vgg11``, ``vgg13``, ``vgg16`` or ``vgg19``, or one of these with ``_bn``.
        source: a file of torchvision's weights (whole, or its ``features.*`` alone); ``download``; or ``None``, for
            what torch has downloaded before.
        option_key: that gives ``vgg_type``, for messages, e.g. ``train:perceptual_opt:vgg_type``.

    Raises:
        UserError: if the type is unknown, the file is missing, is no weights, or is another network's.
    """
    plain = vgg_type.removesuffix('_bn')
    if plain not in _LAYOUTS:
        raise UserError(f'{option_key}: {vgg_type!r} is unknown; known are {", ".join(_LAYOUTS)}')
    state, file = imagenet_weights(vgg_type, source, _OPTION_KEY)
    features = make_layers(cfgs[_LAYOUTS[plain]], batch_norm=vgg_type.endswith('_bn'))
    prefix = 'features.'
    mine = {str(key).removeprefix(prefix): value for key, value in state.items() if str(key).startswith(prefix)}
    try:
        features.load_state_dict(mine)
    except RuntimeError:
        raise UserError(f"{_OPTION_KEY}: {file!r} does not hold torchvision's {vgg_type}") from None
    return features


@contextmanager
def vgg_weights(source: str | None) -> Iterator[None]:
    """Within it, BasicSR's ``VGGFeatureExtractor`` takes its weights from ``source``.

    On its own it downloads them whenever it is built, or loads whatever VGG lies at
    ``experiments/pretrained_models/vgg19-dcbb9e9d.pth`` below the working folder, be it of another depth.

    Args:
        source: as in :func:`vgg_features`.

    Raises:
        UserError: as :func:`vgg_features`, when the extractor is built.
    """

    def builder(vgg_type: str) -> Callable[..., SimpleNamespace]:
        return lambda pretrained: SimpleNamespace(features=vgg_features(vgg_type, source))

    kept = vgg_arch.vgg, vgg_arch.VGG_PRETRAIN_PATH
    names = [name + suffix for name in _LAYOUTS for suffix in ('', '_bn')]
    vgg_arch.vgg, vgg_arch.VGG_PRETRAIN_PATH = SimpleNamespace(**{name: builder(name) for name in names}), ''
    try:
        yield
    finally:
        vgg_arch.vgg, vgg_arch.VGG_PRETRAIN_PATH = kept
