"""BasicSR's paired set, for folders within folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from basicsr.data.paired_image_dataset import PairedImageDataset
from basicsr.utils.registry import DATASET_REGISTRY

from b2b_basicsr.data.picture_source import PictureSource, matched_pairs


@DATASET_REGISTRY.register()
class PairedFolderDataset(PairedImageDataset):
    """``PairedImageDataset`` whose pairs are found at any depth, by relative path without extension.

    BasicSR's own looks into one folder, and forgets the folders of names in a ``meta_info_file`` on one side.

    Args:
        opt: as for ``PairedImageDataset`` with ``io_backend: {type: disk}``: ``dataroot_lq``, ``dataroot_gt``,
            ``name``, ``phase``, ``scale``.

    Raises:
        UserError: if a folder is missing or empty, or a picture has no twin.
    """

    def __init__(self, opt: Mapping[str, Any]) -> None:
        # With an empty list of names BasicSR's constructor looks into no folder.
        super().__init__({**opt, 'meta_info_file': os.devnull})
        self.opt = opt
        section = f'datasets:{opt.get("phase", "val")}'
        lq, gt = (
            PictureSource(f'{section}:{key}', opt[key], opt['io_backend']) for key in ('dataroot_lq', 'dataroot_gt')
        )
        self.paths = [
            {'lq_path': lq.path(first), 'gt_path': gt.path(second)} for first, second in matched_pairs(lq, gt)
        ]
