"""BasicSR's set of single pictures, for folders within folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from basicsr.data.single_image_dataset import SingleImageDataset
from basicsr.utils.registry import DATASET_REGISTRY

from b2b_basicsr.data.picture_source import PictureSource


class _OneSource:
    """In the place of BasicSR's file client, which opens an LMDB of its own beside the one that others have open."""

    def __init__(self, lq: PictureSource) -> None:
        self._lq = lq

    def get(self, path: str, client_key: str) -> bytes:
        """What is stored under an LMDB's key or in a file."""
        return self._lq.content_of(path)


@DATASET_REGISTRY.register()
class SingleFolderDataset(SingleImageDataset):
    """``SingleImageDataset`` whose pictures are found at any depth: validation and test without ground truth.

    Args:
        opt: as for ``SingleImageDataset``: ``dataroot_lq``, ``name``, ``phase``, and ``io_backend``, ``{type: disk}``
            or ``{type: lmdb}``.

    Raises:
        UserError: if the folder is missing or holds no picture.

    A sample holds ``lq``, a float32 RGB tensor [3, h, w] in [0, 1], and its path (in an LMDB, its key) as ``lq_path``.
    """

    def __init__(self, opt: Mapping[str, Any]) -> None:
        lq = PictureSource(f'datasets:{opt.get("phase", "val")}:dataroot_lq', opt['dataroot_lq'], opt['io_backend'])
        # With an empty list of names BasicSR's constructor looks into no folder.
        super().__init__({**opt, 'meta_info_file': os.devnull, 'io_backend': {'type': 'disk'}})
        self.opt = opt
        self.file_client = _OneSource(lq)
        self.paths = [lq.stored_at(index) for index in range(len(lq))]
