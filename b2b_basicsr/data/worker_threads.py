"""How many threads a data loader's workers compute with."""

from __future__ import annotations

import cv2
from torch.utils.data import get_worker_info


def keep_worker_to_one_thread() -> None:
    """In a worker process of a data loader, has OpenCV compute in the calling thread; elsewhere nothing.

    As many workers as cores, each with as many threads as cores, would wait for one another. torch's workers see to
    torch's own threads; Pillow has none, and libvips is not asked for any.
    """
    if get_worker_info() is not None and cv2.getNumThreads() > 1:
        # 0 leaves OpenCV's pool alone, whose threads a forked process does not have.
        cv2.setNumThreads(0)
