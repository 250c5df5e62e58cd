"""How large each size of ``b2b bench gain`` is: changes of the shipped option files ``gain_*.yml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


class _Delete:
    def __repr__(self) -> str:
        return 'DELETE'


DELETE: Final = _Delete()
"""A change that takes the key away."""

Changes = Mapping[str, Any]
"""Dotted key, ``train:total_iter`` say -> its value; ``None`` is ``~``."""


@dataclass(frozen=True)
class Size:
    """What a machine and an hour can bear.

    Args:
        about: for ``--help``.
        shorter_side: what larger photographs are reduced to, in pixels.
        at_most: photographs that are taken; ``None``: all.
        network_k: whether K is made by the kernel network, as in the paper, or else by the parametric camera shake.
        changes: stage -> changes of its option file.
        cameras: target cameras that are taken where none is named; none: all.
    """

    about: str
    shorter_side: int
    at_most: int | None
    network_k: bool
    changes: Mapping[str, Changes] = field(default_factory=dict)
    cameras: tuple[str, ...] = ()


def _length(iterations: int, *, every: int | None = None) -> dict[str, Any]:
    return {
        'train:total_iter': iterations,
        'val:val_freq': every or iterations,
        'logger:save_checkpoint_freq': every or iterations,
        'logger:print_freq': max(1, iterations // 60),
    }


def _cosine(iterations: int) -> dict[str, Any]:
    return {**_length(iterations), 'train:scheduler:periods': [iterations]}


def _network(section: str, width: int, enc: list[int], middle: int, dec: list[int]) -> dict[str, Any]:
    return {
        f'{section}:width': width,
        f'{section}:enc_blk_nums': enc,
        f'{section}:middle_blk_num': middle,
        f'{section}:dec_blk_nums': dec,
    }


_TINY_NET = ([1], 1, [1])
_TINY = {'datasets:train:gt_size': 48, 'datasets:train:batch_size_per_gpu': 2}
_LOADER = {'datasets:train:num_worker_per_gpu': 6}

SIZES: dict[str, Size] = {
    'tiny': Size(
        about='a minute on two cores: that everything runs, no more, and the camera defocus alone',
        shorter_side=96,
        at_most=40,
        network_k=False,
        cameras=('defocus',),
        changes={
            'deblur': {**_TINY, **_network('network_g', 8, *_TINY_NET), **_cosine(30)},
            'oracle': {**_TINY, **_cosine(20)},
            'translate': {
                **_TINY,
                **_network('network_g', 8, *_TINY_NET),
                **_length(20, every=10),
                'train:scheduler:start': 10,
                'val:crop': 64,
            },
            'kernel': {
                **_TINY,
                **_cosine(10),
                'network_g:nf': 8,
                'network_g:front_RBs': 1,
                'network_g:back_RBs': 1,
                'network_g:kernel_dim': 16,
                'val:crop': 64,
            },
            'score': {'val:crop': 64},
            'score_oracle': {'val:crop': 64},
        },
    ),
    'brief': Size(
        about='cpu with short trainings, and no identity loss, to hold variants against each other',
        shorter_side=320,
        at_most=400,
        network_k=False,
        changes={
            'translate': {
                **_length(300, every=100),
                'train:scheduler:start': 150,
                'train:identity_opt': DELETE,  # with it the first 300 iterations are a slow start
            },
            'oracle': _cosine(400),
        },
    ),
    'cpu': Size(
        about='40 minutes for a camera and a seed on two cores: narrow networks, K by a parametric camera shake',
        shorter_side=320,
        at_most=400,
        network_k=False,
    ),
    # Its lengths are estimates: no GPU was at hand when they were written.
    'gpu': Size(
        about='6 minutes for a camera and a seed on an H100 are aimed at: K by the kernel network, three scales',
        shorter_side=480,
        at_most=None,
        network_k=True,
        changes={
            'deblur': {
                **_LOADER,
                **_network('network_g', 32, [1, 1, 1, 4], 2, [1, 1, 1, 1]),
                **_cosine(4000),
                'datasets:train:gt_size': 128,
                'datasets:train:batch_size_per_gpu': 16,
                'train:optim_g:lr': 1e-3,
                'train:ema_decay': 0.999,
            },
            'kernel': {
                **_LOADER,
                **_cosine(2500),
                'datasets:train:gt_size': 256,
                'datasets:train:batch_size_per_gpu': 8,
            },
            'oracle': {
                **_LOADER,
                **_cosine(1200),
                'datasets:train:gt_size': 128,
                'datasets:train:batch_size_per_gpu': 16,
                'train:optim_g:lr': 5e-4,
                'train:ema_decay': 0.999,
            },
            'translate': {
                **_LOADER,
                'network_g': {'type': 'MIMOUNet', 'num_res': 8, 'base_channel': 32},
                'network_d:num_feat': 64,
                **_length(1500, every=250),
                'train:scheduler:start': 750,
                'train:identity_opt': DELETE,  # not tried with this G, which learns later
                'train:optim_g:lr': 3e-4,
                'train:optim_d:lr': 6e-4,
                'train:ema_decay': 0.995,
                'datasets:train:gt_size': 192,
                'datasets:train:batch_size_per_gpu': 8,
            },
            'score': {'val:crop': None},
            'score_oracle': {'val:crop': None},
        },
    ),
}
"""Name on the command line -> size."""
