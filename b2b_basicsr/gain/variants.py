"""Other ways to train the translator, each held against the recipe: the paper's questions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from b2b_basicsr.gain.recipes import DELETE, Changes

KnownFrom = Literal['synth', 'kernel_network', 'known_set', 'sharp_set']
"""Whence K: the parametric camera shake of S, the kernel network, C' itself (the known camera's own pictures), or
S as it is."""


@dataclass(frozen=True)
class Variant:
    """A training of the translator.

    Args:
        about: what a table says.
        changes: of the translate stage's option file, behind the size's.
        known_from: whence K; ``None``: as the size has it.
        deblurs: whether the deblurrer follows; ``False``: G goes straight to sharp.
        pictures: B is cut down to so many; ``None``: all.
        pool: whether B and S come from one list of scenes, which ``ratio`` shares out.
        length: share of the size's iterations that it is trained for.
    """

    about: str
    changes: Changes = field(default_factory=dict)
    known_from: KnownFrom | None = None
    deblurs: bool = True
    pictures: int | None = None
    pool: bool = False
    length: float = 1.0


_MIMO = {'type': 'MIMOUNet', 'num_res': 2, 'base_channel': 16}
_RESTORMER = {
    'type': 'Restormer',
    'dim': 8,
    'num_blocks': [1, 1, 1, 1],
    'num_refinement_blocks': 1,
    'heads': [1, 1, 2, 4],
}

VARIANTS: dict[str, Variant] = {
    'recipe': Variant('as gain_translate.yml has it'),
    'known_set': Variant("K is C' itself, of another camera", known_from='known_set'),
    'kernel_network': Variant('K by the kernel network', known_from='kernel_network'),
    'penalty': Variant('with the gradient penalty, 1e-4', {'train:gp_opt:weight': 1e-4}),
    'three_scales': Variant('G is a MIMO-UNet, judged at three scales', {'network_g': _MIMO, 'train:scales': None}),
    'one_scale': Variant('the same MIMO-UNet, judged at full size', {'network_g': _MIMO, 'train:scales': 1}),
    'direct_unpaired': Variant('G from B straight to S, no deblurrer', known_from='sharp_set', deblurs=False),
    'features_alone': Variant('content: features alone', {'train:pixel_opt': DELETE}),
    'l1': Variant(
        'content: L1 on pixels',
        {'train:perceptual_opt': DELETE, 'train:pixel_opt': {'type': 'L1Loss', 'loss_weight': 1.0}},
    ),
    'block_means_alone': Variant('content: block means alone', {'train:perceptual_opt': DELETE}),
    'no_identity': Variant(
        'size cpu without its identity loss, 2/3 of the iterations: beyond them the gain falls',
        {'train:identity_opt': DELETE},
        length=2 / 3,
    ),
    'identity': Variant('identity loss on K, weight 1', {'train:identity_opt': {'type': 'L1Loss', 'loss_weight': 1.0}}),
    'identity_5': Variant(
        'identity loss on K, weight 5', {'train:identity_opt': {'type': 'L1Loss', 'loss_weight': 5.0}}
    ),
    'luma': Variant(
        'D sees the detail of luminance alone', {'network_d:highpass': None, 'network_d:luma_highpass': 17}
    ),
    'sees_all': Variant('D sees the picture itself', {'network_d:highpass': None}),
    'unet': Variant('G is a U-Net', {'network_g': {'type': 'UNet', 'num_feat': 24, 'num_levels': 3}}),
    'restormer': Variant('G is a Restormer', {'network_g': _RESTORMER, 'train:identity_start': False}),
    **{
        f'ratio_{share:.0%}'.replace('%', ''): Variant(
            f'B and S share {share:.0%} to {1 - share:.0%}', {'datasets:train:ratio': share}, pool=True
        )
        for share in (0.2, 0.4, 0.6, 0.8)
    },
    **{f'b_{count}': Variant(f'B of {count} pictures', pictures=count) for count in (10, 30)},
}
"""Name on the command line -> variant; the first is the recipe."""
