from __future__ import annotations

import random
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from b2b_basicsr.data import PositionedSampler, SampleKey
from b2b_basicsr.data.positioned_dataset import PositionedDataset


class Draws(Dataset[dict[str, Any]]):
    """Samples of nothing but random numbers, from all the global generators."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> dict[str, Any]:
        drawn = {'python': random.random(), 'numpy': float(np.random.rand()), 'torch': float(torch.rand(()))}
        return {'index': index, **drawn}


def epoch(workers: int, number: int, skip: int = 0) -> list[dict[str, Any]]:
    dataset = PositionedDataset(Draws())
    sampler = PositionedSampler(dataset, 1, 0, seed=4)
    sampler.set_epoch(number)
    sampler.go_on(number, skip)
    loader: Any = DataLoader(dataset, batch_size=None, sampler=sampler, num_workers=workers)
    return [{name: float(value) for name, value in sample.items() if name != 'replaced'} for sample in loader]


def test_samples_hang_on_their_place_alone() -> None:
    alone = epoch(workers=0, number=1)
    random.seed(99)
    torch.manual_seed(99)
    assert epoch(workers=2, number=1) == alone
    assert epoch(workers=0, number=1, skip=4) == alone[4:]
    assert [sample['position'] for sample in alone] == [0, 1, 2, 3, 4, 5]
    assert {sample['epoch'] for sample in alone} == {1}
    assert len({sample[kind] for sample in alone for kind in ('python', 'numpy', 'torch')}) == 18
    assert {sample['python'] for sample in alone}.isdisjoint(sample['python'] for sample in epoch(0, number=2))


def test_the_global_generators_go_on_behind_it() -> None:
    def next_numbers() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    def seed() -> None:
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)

    seed()
    expected = next_numbers()
    seed()
    PositionedDataset(Draws())[SampleKey(picture=0, seed=0, epoch=0, position=0)]
    assert next_numbers() == expected


def test_a_thread_leaves_torchs_generator_to_the_step_that_runs_meanwhile() -> None:
    dataset = PositionedDataset(Draws())
    torch.manual_seed(1)
    expected = torch.rand(2).tolist()
    torch.manual_seed(1)
    found: list[dict[str, Any]] = []
    key = SampleKey(picture=0, seed=0, epoch=0, position=0)
    thread = threading.Thread(target=lambda: found.append(dataset[key]))
    thread.start()
    thread.join()
    # It drew the first number itself, and did not set the generator back under the step.
    assert found[0]['torch'] == expected[0]
    assert float(torch.rand(())) == expected[1]
    assert found[0]['python'] == dataset[key]['python']


@pytest.mark.parametrize('replicas', [1, 2, 3])
def test_what_was_seen_is_left_out_of_one_epoch(replicas: int) -> None:
    def keys(seen: int, number: int) -> list[SampleKey]:
        shares = []
        for rank in range(replicas):
            sampler = PositionedSampler(range(7), replicas, rank, seed=1)
            left = sampler.go_on(4, seen)
            sampler.set_epoch(number)
            shares.append(list(sampler))
            assert len(sampler) == sampler.num_samples, 'the length of an epoch stays'
            if number == 4:
                assert len(shares[-1]) == left
        return [key for place in zip(*shares, strict=True) for key in place]

    whole = keys(0, 4)
    assert keys(2 * replicas, 4) == whole[2 * replicas :]
    assert keys(2 * replicas + replicas - 1, 4) == whole[2 * replicas :], 'places are shared out evenly'
    assert keys(len(whole), 4) == []
    assert keys(10**6, 4) == []
    assert keys(2 * replicas, 5) == keys(0, 5)


def test_two_threads_do_not_mix_the_generators_up() -> None:
    """BasicSR's CPU prefetcher has two at the beginning of a training."""
    dataset = PositionedDataset(Draws())
    keys = [SampleKey(picture=0, seed=1, epoch=0, position=position) for position in range(300)]
    kinds = ('python', 'numpy')
    alone = [[dataset[key][kind] for kind in kinds] for key in keys]
    found: dict[int, list[Any]] = {}

    def read(number: int) -> None:
        found[number] = [[sample[kind] for kind in kinds] for sample in map(dataset.__getitem__, keys)]

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one == alone for one in found.values())
    assert len(found) == 4


def test_an_epoch_that_was_begun_keeps_its_number() -> None:
    sampler = PositionedSampler(range(5), 1, 0, seed=1)
    sampler.set_epoch(1)
    begun = iter(sampler)
    first = next(begun)
    sampler.set_epoch(2)
    assert {key.epoch for key in (first, *begun)} == {1}
    assert {key.epoch for key in sampler} == {2}
