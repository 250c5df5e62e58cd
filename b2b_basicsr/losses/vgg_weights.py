"""Where BasicSR's VGG gets its weights, decided by an option."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import basicsr.archs.vgg_arch as vgg_arch
import torch
from filelock import FileLock
from torch import Tensor, nn
from torchvision.models import get_model_weights
from torchvision.models.vgg import cfgs, make_layers

from b2b_basicsr.errors import UserError
from b2b_basicsr.processes import this_process

DOWNLOAD = 'download'
_OPTION_KEY = 'train:vgg_weights'
_LAYOUTS = {'vgg11': 'A', 'vgg13': 'B', 'vgg16': 'D', 'vgg19': 'E'}


def _download(vgg_type: str) -> Mapping[str, Tensor]:
    weights = get_model_weights(vgg_type)['IMAGENET1K_V1']
    try:
        with _one_at_a_time(weights.url):
            state: Mapping[str, Tensor] = weights.get_state_dict(progress=True, check_hash=True)
    except Exception as cause:
        raise UserError(
            f'{_OPTION_KEY}: {vgg_type} could not be downloaded from {weights.url} ({cause}); give a file of '
            "torchvision's weights instead, or use a content loss without them (RandomFeatureLoss)"
        ) from cause
    return state


def _one_at_a_time(url: str) -> AbstractContextManager[Any]:
    """Of several processes one downloads, and the others find the file then."""
    kept = Path(torch.hub.get_dir(), 'checkpoints', Path(url).name)  # torch's place for it
    if this_process()[1] == 1 or kept.is_file():
        return nullcontext()
    kept.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(kept.with_name(f'{kept.name}.lock'))


def _read(vgg_type: str, path: str) -> Mapping[str, Tensor]:
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError(
            f"{_OPTION_KEY}: no file {path!r}; give a file of torchvision's {vgg_type} weights, or {DOWNLOAD}"
        )
    try:
        state: Mapping[str, Tensor] = torch.load(file, map_location='cpu', weights_only=True)
    except Exception as cause:
        raise UserError(f'{_OPTION_KEY}: {path!r} cannot be read as weights ({type(cause).__name__})') from cause
    return state


def vgg_features(vgg_type: str, source: str) -> nn.Sequential:
    """VGG's convolutional part with torchvision's weights; the classifier, nine tenths of the file, is not built.

    Args:
        vgg_type: ``vgg11``, ``vgg13``, ``vgg16`` or ``vgg19``, or one of these with ``_bn``.
        source: a file of torchvision's weights (whole, or its ``features.*`` alone), or ``download``.

    Raises:
        UserError: if the file is missing, is no weights, or is another network's.
    """
    plain = vgg_type.removesuffix('_bn')
    if plain not in _LAYOUTS:
        raise UserError(f'train:perceptual_opt:vgg_type: {vgg_type!r} is unknown; known are {", ".join(_LAYOUTS)}')
    state = _download(vgg_type) if source == DOWNLOAD else _read(vgg_type, source)
    features = make_layers(cfgs[_LAYOUTS[plain]], batch_norm=vgg_type.endswith('_bn'))
    mine = {key.removeprefix('features.'): value for key, value in state.items() if key.startswith('features.')}
    try:
        features.load_state_dict(mine)
    except RuntimeError:
        raise UserError(f"{_OPTION_KEY}: {source!r} does not hold torchvision's {vgg_type}") from None
    return features


@contextmanager
def vgg_weights(source: str) -> Iterator[None]:
    """Within it, BasicSR's ``VGGFeatureExtractor`` takes its weights from ``source``.

    On its own it downloads them whenever it is built, or loads whatever VGG lies at
    ``experiments/pretrained_models/vgg19-dcbb9e9d.pth`` below the working folder, be it of another depth.

    Args:
        source: a file of torchvision's weights, or ``download``.

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
