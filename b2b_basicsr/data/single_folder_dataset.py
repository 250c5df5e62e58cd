"""BasicSR's set of single pictures, for folders within folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from basicsr.data.single_image_dataset import SingleImageDataset
from basicsr.utils.registry import DATASET_REGISTRY

from b2b_basicsr.data.sources_as_file_client import SourcesAsFileClient, open_sources


@DATASET_REGISTRY.register()
class SingleFolderDataset(SingleImageDataset):
    """``SingleImageDataset`` whose pictures are found at any depth: validation and test without ground truth.

    Args:
        opt: as for ``SingleImageDataset``: ``dataroot_lq``, ``name``, ``phase``, and ``io_backend``, ``{type: disk}``
            or ``{type: lmdb}``.

    Raises:
        UserError: if the folder is missing or holds no picture, or there is a ``meta_info_file``.

    A sample holds ``lq``, a float32 RGB tensor [3, h, w] in [0, 1], and its path (in an LMDB, its key) as ``lq_path``.
    """

    def __init__(self, opt: Mapping[str, Any]) -> None:
        sources = open_sources(opt, ('lq',))
        # With an empty list of names BasicSR's constructor looks into no folder.
        super().__init__({**opt, 'meta_info_file': os.devnull, 'io_backend': {'type': 'disk'}})
        self.opt = opt
        self.file_client = SourcesAsFileClient(sources)
        self.paths = [sources['lq'].stored_at(index) for index in range(len(sources['lq']))]
