"""BasicSR's EnlargedSampler, with each index carrying its place in the training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from basicsr.data.data_sampler import EnlargedSampler

from b2b_basicsr.data.sample_key import SampleKey


class PositionedSampler(EnlargedSampler):
    """Yields :class:`SampleKey` in the order in which ``EnlargedSampler`` of one process yields indices.

    Worker processes know neither the epoch nor a sample's place in it, and BasicSR seeds them alike in every epoch.
    What the sampler hands over therefore names both.

    Of several processes each takes every n-th place of that one order, so that their batches together are those of one
    process with as large a batch. Where the places do not divide evenly, the first ones come again at the end, at
    places of their own. (BasicSR's order hangs on the number of processes there.)

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
        self._ratio = ratio
        self._seen: dict[int, int] = {}

    def go_on(self, epoch: int, seen: int) -> int:
        """Leaves out, in one epoch, the places that a training has seen before it was resumed.

        Args:
            epoch: which one.
            seen: its first places, over all processes.

        Returns:
            How many samples are left of it for this process; a process more or less has one more, and leaves it.
        """
        self._seen = {epoch: min(seen // self.num_replicas * self.num_replicas, self.total_size)}
        return (self.total_size - self._seen[epoch]) // self.num_replicas

    def __iter__(self) -> Iterator[SampleKey]:
        epoch = self.epoch  # of now: a prefetching thread may have begun this in an epoch that is given up
        whole = EnlargedSampler(self.dataset, 1, 0, self._ratio)
        whole.set_epoch(epoch)
        order = list(whole)
        for position in range(self._seen.get(epoch, 0) + self.rank, self.total_size, self.num_replicas):
            yield SampleKey(order[position % len(order)], self.seed, epoch, position)
