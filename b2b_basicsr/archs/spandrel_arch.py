"""Restorers of the ecosystem, recognised by their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

from b2b_basicsr.archs.padding import pad_reflect
from b2b_basicsr.errors import UserError

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

_KEY = 'SpandrelNet: path'


def _content(path: str) -> Mapping[Any, Any]:
    """What the file holds, read without running code from it."""
    # Not at the top: of the two packages, the networks are imported first.
    from b2b_basicsr.models.checkpoint import read_checkpoint

    return read_checkpoint(_KEY, path)


def _first_line(cause: Exception) -> str:
    lines = str(cause).splitlines()
    return ' '.join((lines or [type(cause).__name__])[0].split())[:200]


def _recognised(path: str) -> ImageModelDescriptor[nn.Module]:
    content = _content(path)
    # Not at the top: `import basicsr` brings us in, and need not bring in forty architectures.
    from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError

    try:
        found = ModelLoader('cpu').load_from_state_dict(dict(content))
    except UnsupportedModelError:
        raise UserError(
            f'{_KEY}: spandrel recognises no network in {path!r}; if it is one of BasicSR or of this package, give its '
            'own type and keys, and the file as path:pretrain_network_*'
        ) from None
    except Exception as cause:
        raise UserError(f'{_KEY}: spandrel cannot load {path!r}: {_first_line(cause)}') from cause
    name = found.architecture.name
    if not isinstance(found, ImageModelDescriptor):
        raise UserError(f'{_KEY}: {path!r} is a {name}, which wants a mask beside the picture; a restorer is needed')
    if found.scale != 1:
        raise UserError(f'{_KEY}: {path!r} is a {name} that enlarges {found.scale} times; a restorer keeps the size')
    if (found.input_channels, found.output_channels) != (3, 3):
        raise UserError(
            f'{_KEY}: {path!r} is a {name} from {found.input_channels} to {found.output_channels} channels; '
            'RGB pictures have 3'
        )
    return found


@ARCH_REGISTRY.register()
class SpandrelNet(nn.Module):
    """Any restorer that spandrel recognises by its weights, with these weights.

    Any height and width: where the architecture wants multiples, a least size or squares, the picture is continued by
    its mirror image at the right and the bottom, and the output is cropped. State-dict keys are the architecture's own,
    so what is saved of a fine-tuned network is a file that spandrel recognises again.

    Args:
        path: a checkpoint (``.pth``, ``.ckpt``, ``.safetensors``), a plain state dict or with the weights under a
            usual key. Where it has both, ``params_ema`` is taken, not ``params``. Files that could run code are
            refused.

    Attributes:
        carries_weights: the network is built with trained weights, so an option file need not give it any.
        architecture: what spandrel calls it, ``'NAFNet'`` say.

    Raises:
        UserError: the file is missing, damaged, none that spandrel recognises, or no restorer of RGB pictures that
            keeps the size.

    Example:
        >>> import tempfile
        >>> from b2b_basicsr.archs import NAFNet
        >>> with tempfile.NamedTemporaryFile(suffix='.pth') as file:
        ...     nafnet = NAFNet(width=8, enc_blk_nums=[1], dec_blk_nums=[1])
        ...     torch.save({'params': nafnet.state_dict()}, file.name)
        ...     net = SpandrelNet(file.name)
        >>> net.architecture, net(torch.rand(1, 3, 61, 83)).shape
        ('NAFNet', torch.Size([1, 3, 61, 83]))
    """

    carries_weights = True

    def __init__(self, path: str) -> None:
        super().__init__()
        if not isinstance(path, str):
            raise UserError(f'{_KEY}: {path!r} is no path; give a checkpoint file')
        # Under another default device, torch's meta device in particular, the weights would be lost.
        with torch.device('cpu'):
            found = _recognised(path)
        self.architecture = found.architecture.name
        self.net = found.model
        self._size = found.size_requirements
        # The descriptor's own call does this without gradients, and clamps in place.
        self._call_net = found._call_fn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Restore a picture.

        Args:
            x: ``[n, 3, h, w]``, RGB in [0, 1].

        Returns:
            ``[n, 3, h, w]``, about [0, 1], not clamped.
        """
        height, width = x.shape[-2:]
        right, bottom = self._size.get_padding(width, height)
        restored: torch.Tensor = self._call_net(self.net, pad_reflect(x, 0, right, 0, bottom))
        return restored[..., :height, :width]

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The architecture's own, as if this wrapper were not there."""
        return self.net.state_dict(*args, **kwargs)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for key in [key for key in state_dict if key.startswith(prefix)]:
            state_dict[f'{prefix}net.{key[len(prefix) :]}'] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        """What spandrel calls the architecture."""
        return f'architecture={self.architecture!r}'
