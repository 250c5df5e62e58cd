from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import pyvips
import torch
from torch.utils.data import DataLoader, Dataset

from b2b_basicsr.data.picture_source import PictureSource

MakePictures = Callable[..., Path]


class _Threads(Dataset[tuple[int, int, int]]):
    """OpenCV's and torch's threads, and a pixel, where a picture was read."""

    def __init__(self, source: PictureSource) -> None:
        self._source = source

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[int, int, int]:
        pixel = np.asarray(self._source.open(0).crop((0, 0, 9, 9)))[0, 0, 0]
        cv2.GaussianBlur(np.zeros((900, 900, 3), np.float32), (0, 0), 5)
        return cv2.getNumThreads(), torch.get_num_threads(), int(pixel)


@pytest.fixture
def _many_threads() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(4)
    yield
    cv2.setNumThreads(before)


@pytest.mark.usefixtures('_many_threads')
def test_workers_keep_to_one_thread_and_others_to_theirs(make_pictures: MakePictures) -> None:
    source = PictureSource('key', str(make_pictures('set', ['0.png'])), {'type': 'disk'})
    dataset = _Threads(source)
    # What this process has used threads for must not stop the forked ones.
    cv2.GaussianBlur(np.zeros((900, 900, 3), np.float32), (0, 0), 5)
    pyvips.Image.new_from_file(source.path(0)).gaussblur(3).avg()
    here = dataset[0]
    assert here[0] == 4
    loader = DataLoader(dataset, batch_size=None, num_workers=2, timeout=60)
    assert [tuple(threads) for threads in loader] == [(1, 1, here[2])] * 2
    assert cv2.getNumThreads() == 4
