"""BasicSR's EnlargedSampler, with each index carrying its place in the training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from basicsr.data.data_sampler import EnlargedSampler

from b2b_basicsr.data.sample_key import SampleKey


class PositionedSampler(EnlargedSampler):
    """Yields :class:`SampleKey` in the order in which ``EnlargedSampler`` yields indices.

    Worker processes know neither the epoch nor a sample's place in it, and BasicSR seeds them alike in every epoch.
    What the sampler hands over therefore names both.

    Args:
        dataset: the training set.
        num_replicas: number of processes.
        rank: this process.
        ratio: BasicSR's ``dataset_enlarge_ratio``.
        seed: the option file's ``manual_seed``.
    """

    def __init__(self, dataset: Any, num_replicas: int, rank: int, ratio: float = 1, *, seed: int) -> None:
        super().__init__(dataset, num_replicas, rank, ratio)
        self.seed = seed

    def __iter__(self) -> Iterator[SampleKey]:
        for place, index in enumerate(super().__iter__()):
            yield SampleKey(index, self.seed, self.epoch, place * self.num_replicas + self.rank)
