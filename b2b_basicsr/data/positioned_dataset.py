"""Anybody's training set, its random choices made functions of a sample's place in the training."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from b2b_basicsr.data.broken_picture import read_sample
from b2b_basicsr.data.positioned_sampler import PositionedSampler
from b2b_basicsr.data.replacement import drawn_again
from b2b_basicsr.data.sample_key import SampleKey

_globals_in_use = threading.RLock()
"""BasicSR's CPU prefetcher starts two threads at the beginning of each training, which would mix them up."""


class PositionedDataset(Dataset[dict[str, Any]]):
    """Another set whose samples hang on (seed, epoch, position), as those of ``UnpairedBlurDataset`` do.

    BasicSR's sets draw crops and flips from Python's global generator. In worker processes that is seeded alike in
    every epoch; in the training process it hangs on all that was drawn before. So each sample is drawn from generators
    that are seeded for it, and set back behind it.

    Args:
        dataset: its samples are mappings.

    Example:
        >>> class Draws(Dataset):
        ...     def __len__(self):
        ...         return 3
        ...     def __getitem__(self, index):
        ...         return {'index': index, 'draw': random.random()}
        >>> dataset = PositionedDataset(Draws())
        >>> key = SampleKey(picture=2, seed=10, epoch=1, position=0)
        >>> first, again = dataset[key], dataset[key]
        >>> first['index'], first == again
        (2, True)
    """

    sampler_class = PositionedSampler

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset
        self.opt: Any = getattr(dataset, 'opt', {})

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, key: SampleKey) -> dict[str, Any]:
        sample, broken = drawn_again(key, self._draw)
        return {**sample, **key.place(), 'replaced': '\n'.join(broken)}

    def _draw(self, key: SampleKey) -> Mapping[str, Any]:
        index = key.picture if key.attempt == 0 else int(key.generator('picture').integers(len(self)))
        with _generators_for(key):
            return read_sample(self.dataset, index)


@contextmanager
def _generators_for(key: SampleKey) -> Iterator[None]:
    """Python's, NumPy's and torch's global generators, seeded for one sample; as they were behind it."""
    seeds = key.generator('globals').integers(2**32, size=3)
    with _globals_in_use:
        python, numpy = random.getstate(), np.random.get_state()
        random.seed(int(seeds[0]))
        np.random.seed(int(seeds[1]))
        try:
            # BasicSR's CPU prefetcher reads in a thread: torch's generator belongs to the step that runs meanwhile.
            if get_worker_info() is None and threading.current_thread() is not threading.main_thread():
                yield
                return
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(int(seeds[2]))
                yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
