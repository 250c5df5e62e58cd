"""Our networks, recognised by the names and shapes of their weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from b2b_basicsr.archs.mimounet_arch import MIMOUNet
from b2b_basicsr.archs.nafnet_local_arch import NAFNetLocal
from b2b_basicsr.archs.restormer_arch import Restormer
from b2b_basicsr.archs.unet_arch import UNet

Weights = Mapping[str, Tensor]


def _count(weights: Weights, prefix: str) -> int:
    """How many numbered parts stand under a prefix, ``encoders.0.`` say."""
    numbers = {found[1] for key in weights if (found := re.match(rf'{re.escape(prefix)}(\d+)\.', key))}
    return len(numbers)


def _mimounet(weights: Weights) -> tuple[type[nn.Module], dict[str, Any]]:
    # MIMOUNetPlus differs by the number of blocks, and by dropout in training alone.
    base_channel = weights['feat_extract.0.main.0.weight'].shape[0]
    return MIMOUNet, {'num_res': _count(weights, 'Encoder.0.layers.'), 'base_channel': base_channel}


def _nafnet(weights: Weights) -> tuple[type[nn.Module], dict[str, Any]]:
    width, img_channel = weights['intro.weight'].shape[:2]
    return NAFNetLocal, {
        'img_channel': img_channel,
        'width': width,
        'middle_blk_num': _count(weights, 'middle_blks.'),
        'enc_blk_nums': [_count(weights, f'encoders.{level}.') for level in range(_count(weights, 'downs.'))],
        'dec_blk_nums': [_count(weights, f'decoders.{level}.') for level in range(_count(weights, 'ups.'))],
    }


def _restormer(weights: Weights) -> tuple[type[nn.Module], dict[str, Any]]:
    dim, inp_channels = weights['patch_embed.proj.weight'].shape[:2]
    levels = ['encoder_level1', 'encoder_level2', 'encoder_level3', 'latent']
    hidden = [weights[f'{level}.0.ffn.project_out.weight'].shape[1] for level in levels]
    channels = [dim << level for level in range(len(levels))]
    # hidden = int(channels * factor) at every level leaves the factor an interval, 1 / (8 * dim) wide at most.
    least = max(one / of for one, of in zip(hidden, channels, strict=True))
    less_than = min((one + 1) / of for one, of in zip(hidden, channels, strict=True))
    return Restormer, {
        'inp_channels': inp_channels,
        'out_channels': weights['output.weight'].shape[0],
        'dim': dim,
        'num_blocks': [_count(weights, f'{level}.') for level in levels],
        'num_refinement_blocks': _count(weights, 'refinement.'),
        'heads': [weights[f'{level}.0.attn.temperature'].shape[0] for level in levels],
        'ffn_expansion_factor': (least + less_than) / 2,
        'bias': 'patch_embed.proj.bias' in weights,
        'LayerNorm_type': 'WithBias' if 'latent.0.norm1.body.bias' in weights else 'BiasFree',
    }


def _unet(weights: Weights) -> tuple[type[nn.Module], dict[str, Any]]:
    num_feat, num_in_ch = weights['encoders.0.conv1.weight'].shape[:2]
    norm = 'batch' if 'middle.norm1.running_mean' in weights else 'instance'
    return UNet, {
        'num_in_ch': num_in_ch,
        'num_feat': num_feat,
        'num_levels': _count(weights, 'encoders.'),
        'norm': norm if 'middle.norm1.weight' in weights else None,
    }


_GUESSES = (_mimounet, _nafnet, _restormer, _unet)

KNOWN = 'MIMOUNet, NAFNet, Restormer and UNet of any size'
"""What :func:`known_network` knows, for messages."""


def known_network(weights: Weights) -> nn.Module | None:
    """The network of ours whose keys and shapes these are, without the weights; ``None`` if they are no such network's.

    The sizes are read off the shapes, so narrowed networks are recognised as the published ones are.

    A NAFNet comes back as :class:`~b2b_basicsr.archs.nafnet_local_arch.NAFNetLocal` with its default ``train_size``,
    256: the weights are the same, the published evaluation runs so, and only so tiles of a picture agree with the
    whole.

    Args:
        weights: a state dict.

    Example:
        >>> from b2b_basicsr.archs.nafnet_arch import NAFNet
        >>> known_network(NAFNet(width=8, enc_blk_nums=[1], dec_blk_nums=[2]).state_dict()).__class__.__name__
        'NAFNetLocal'
        >>> known_network({'weight': torch.ones(1)}) is None
        True
    """
    shapes = {key: value.shape for key, value in weights.items()}
    for guess in _GUESSES:
        try:
            kind, arguments = guess(weights)
            with torch.device('meta'):
                wanted = kind(**arguments).state_dict()
        except (KeyError, IndexError, ValueError):
            continue  # another network: a key is not there, or has no such axis (UserError is a ValueError)
        if shapes == {key: value.shape for key, value in wanted.items()}:
            return kind(**arguments)
    return None
