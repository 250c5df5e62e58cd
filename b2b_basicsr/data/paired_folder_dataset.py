"""BasicSR's paired set, for folders within folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from basicsr.data.paired_image_dataset import PairedImageDataset
from basicsr.utils.registry import DATASET_REGISTRY

from b2b_basicsr.data.picture_source import PictureSource, matched_pairs


class _TwoSources:
    """In the place of BasicSR's file client, which opens an LMDB of its own beside the one that others have open."""

    def __init__(self, lq: PictureSource, gt: PictureSource) -> None:
        self._sources = {'lq': lq, 'gt': gt}

    def get(self, path: str, client_key: str) -> bytes:
        """What is stored under an LMDB's key or in a file."""
        return self._sources[client_key].content_of(path)


@DATASET_REGISTRY.register()
class PairedFolderDataset(PairedImageDataset):
    """``PairedImageDataset`` whose pairs are found at any depth, by relative path without extension.

    BasicSR's own looks into one folder, and forgets the folders of names in a ``meta_info_file`` on one side. For
    training (``phase: train``, as in training the kernel network or a deblurrer), validation and test: crops and flips
    are BasicSR's.

    Args:
        opt: as for ``PairedImageDataset``: ``dataroot_lq``, ``dataroot_gt``, ``name``, ``phase``, ``scale``;
            ``io_backend: {type: disk}``, or ``{type: lmdb}``, where pairs match by their whole keys; in phase train
            ``gt_size``, ``use_hflip`` and ``use_rot``, too.

    Raises:
        UserError: if a folder is missing or empty, or a picture has no twin.

    A sample holds ``lq`` and ``gt``, float32 RGB tensors [3, h, w] in [0, 1], and their paths (in an LMDB, their keys)
    as ``lq_path`` and ``gt_path``.
    """

    def __init__(self, opt: Mapping[str, Any]) -> None:
        section = f'datasets:{opt.get("phase", "val")}'
        lq, gt = (
            PictureSource(f'{section}:{key}', opt[key], opt['io_backend']) for key in ('dataroot_lq', 'dataroot_gt')
        )
        # With an empty list of names BasicSR's constructor looks into no folder.
        super().__init__({**opt, 'meta_info_file': os.devnull, 'io_backend': {'type': 'disk'}})
        self.opt = opt
        self.file_client = _TwoSources(lq, gt)
        self.paths = [
            {'lq_path': lq.stored_at(first), 'gt_path': gt.stored_at(second)} for first, second in matched_pairs(lq, gt)
        ]
