"""BasicSR's paired set, for folders within folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from basicsr.data.paired_image_dataset import PairedImageDataset
from basicsr.utils.registry import DATASET_REGISTRY

from b2b_basicsr.data.picture_source import matched_pairs
from b2b_basicsr.data.sources_as_file_client import SourcesAsFileClient, open_sources


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
        UserError: if a folder is missing or empty, a picture has no twin, or there is a ``meta_info_file``.

    A sample holds ``lq`` and ``gt``, float32 RGB tensors [3, h, w] in [0, 1], and their paths (in an LMDB, their keys)
    as ``lq_path`` and ``gt_path``.
    """

    def __init__(self, opt: Mapping[str, Any]) -> None:
        sources = open_sources(opt, ('lq', 'gt'))
        # With an empty list of names BasicSR's constructor looks into no folder.
        super().__init__({**opt, 'meta_info_file': os.devnull, 'io_backend': {'type': 'disk'}})
        self.opt = opt
        self.file_client = SourcesAsFileClient(sources)
        lq, gt = sources.values()
        self.paths = [
            {'lq_path': lq.stored_at(first), 'gt_path': gt.stored_at(second)} for first, second in matched_pairs(lq, gt)
        ]
