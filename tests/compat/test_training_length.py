from __future__ import annotations

import logging
import math
import random
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from basicsr.data import build_dataloader
from basicsr.data.data_sampler import EnlargedSampler
from torch.utils.data import Dataset

from b2b_basicsr.compat import training_length
from b2b_basicsr.compat.training_length import last_epoch_needed
from b2b_basicsr.data.positioned_dataset import PositionedDataset
from b2b_basicsr.stop_request import WorkersDeafToSignals


def iterations_of_basicsr(start_epoch: int, last_epoch: int, batches: int, iteration: int, total_iter: int) -> int:
    """Return the iteration that BasicSR's training loop reaches."""
    for _ in range(start_epoch, last_epoch + 1):
        for _ in range(batches):
            iteration += 1
            if iteration > total_iter:
                return total_iter
    return iteration


def test_the_total_is_reached_in_as_few_epochs_as_possible() -> None:
    for total, batches, start_epoch, start in product((1, 7, 12), (1, 2, 5, 20), (0, 3, 40), (0, 1, 6)):
        if start >= total:
            continue
        last = last_epoch_needed(total, batches, start_epoch, start)
        assert iterations_of_basicsr(start_epoch, last, batches, start, total) == total
        assert iterations_of_basicsr(start_epoch, last - 1, batches, start, total) < total


class Numbers(Dataset[int]):
    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> int:
        return index


class Dictionaries(Dataset[dict[str, Any]]):
    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {'index': index, 'draw': random.random()}


class SeededSampler(EnlargedSampler):
    """A sampler that gives more than positions."""

    def __init__(self, dataset: Dataset[int], num_replicas: int, rank: int, ratio: float = 1, seed: int = 0) -> None:
        super().__init__(dataset, num_replicas, rank, ratio)
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        return iter([self.seed] * len(self))


class SeededNumbers(Numbers):
    sampler_class = SeededSampler


@pytest.fixture(autouse=True)
def fresh_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_length, '_start', training_length._Start())


def options(batch_size: int, total_iter: int, **dataset: Any) -> dict[str, Any]:
    return {
        'world_size': 1,
        'rank': 0,
        'num_gpu': 0,
        'dist': False,
        'manual_seed': 5,
        'train': {'total_iter': total_iter},
        'datasets': {'train': {'phase': 'train', 'batch_size_per_gpu': batch_size, 'num_worker_per_gpu': 0, **dataset}},
    }


def create(opt: dict[str, Any], dataset: Numbers | Dictionaries) -> tuple[Any, Any, list[Any], int, int]:
    """Run the mended function over what BasicSR's own does with a data set."""

    def basicsr_own(opt: dict[str, Any], logger: logging.Logger) -> tuple[Any, Any, list[Any], int, int]:
        train = opt['datasets']['train']
        ratio = train.get('dataset_enlarge_ratio', 1)
        sampler = EnlargedSampler(dataset, opt['world_size'], opt['rank'], ratio)
        loader = build_dataloader(dataset, train, num_gpu=0, dist=False, sampler=sampler, seed=opt['manual_seed'])
        batches = math.ceil(len(dataset) * ratio / (train['batch_size_per_gpu'] * opt['world_size']))
        total_iter = opt['train']['total_iter']
        return loader, sampler, [], math.ceil(total_iter / batches), total_iter

    created: tuple[Any, Any, list[Any], int, int] = training_length._reaching_the_total(basicsr_own)(
        opt, logging.getLogger('test')
    )
    return created


@pytest.mark.parametrize('ratio', [1, 2, 7])
@pytest.mark.parametrize('size', range(1, 9))
@pytest.mark.parametrize('batch_size', [1, 3, 4, 8])
def test_any_set_and_batch_size_reaches_the_total(size: int, batch_size: int, ratio: int) -> None:
    opt = options(batch_size, total_iter=23, dataset_enlarge_ratio=ratio)
    loader, sampler, _, last_epoch, total_iter = create(opt, Numbers(size))
    assert loader.sampler is sampler
    assert len(loader) >= 1
    assert iterations_of_basicsr(0, last_epoch, len(loader), 0, total_iter) == 23


def test_a_count_that_suffices_is_left(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    _, sampler, _, last_epoch, _ = create(options(2, total_iter=9), Numbers(6))
    assert last_epoch == 3
    assert type(sampler) is EnlargedSampler
    assert caplog.text == ''


def test_a_correction_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    create(options(4, total_iter=20), Numbers(7))
    assert len(caplog.records) == 1
    assert 'Total epochs: 19, not 10' in caplog.text


def test_resumed_with_another_batch_size() -> None:
    """The state comes from batch 1; with batch 6 an epoch is one batch, and BasicSR counts 200 of them."""
    load = training_length._noting_the_start(lambda opt: {'epoch': 30, 'iter': 190})
    assert load({}) == {'epoch': 30, 'iter': 190}
    loader, _, _, last_epoch, _ = create(options(6, total_iter=200), Numbers(6))
    assert iterations_of_basicsr(30, last_epoch, len(loader), 190, 200) == 200
    assert last_epoch == 39


def test_a_new_training_after_a_resumed_one_starts_at_zero() -> None:
    training_length._noting_the_start(lambda opt: {'epoch': 30, 'iter': 190})({})
    assert training_length._noting_the_start(lambda opt: None)({}) is None
    assert create(options(6, total_iter=5), Numbers(6))[3] == 5


def test_a_set_smaller_than_a_batch_is_passed_over_several_times() -> None:
    opt = options(8, total_iter=4)
    loader, sampler, *_ = create(opt, Numbers(3))
    assert opt['datasets']['train']['dataset_enlarge_ratio'] == 3
    assert len(sampler) == 9
    assert [len(batch) for batch in loader] == [8]


@pytest.mark.parametrize('processes', [2, 3, 8])
@pytest.mark.parametrize('size', [1, 5, 12])
@pytest.mark.parametrize('batch_size', [1, 2, 4])
def test_several_processes_reach_the_total_together(size: int, batch_size: int, processes: int) -> None:
    """From the start, and resumed from a state of one process, whose epochs were longer."""
    for epoch, iteration in ((0, 0), (2, 14)):
        training_length._start.epoch, training_length._start.iteration = epoch, iteration
        lengths = set()
        for rank in range(processes):
            opt = options(batch_size, total_iter=23)
            opt |= {'world_size': processes, 'rank': rank, 'dist': True}
            loader, _, _, last_epoch, total_iter = create(opt, Numbers(size))
            lengths.add((len(loader), last_epoch))
        assert len(lengths) == 1, 'a process that ends early would leave the others waiting'
        assert iterations_of_basicsr(epoch, last_epoch, len(loader), iteration, total_iter) == 23


@pytest.mark.parametrize('processes', [1, 2])
@pytest.mark.parametrize(('batch_size', 'size'), [(1, 7), (2, 7), (3, 8), (4, 3)])
def test_resumed_anywhere_it_goes_on_behind_what_was_seen(batch_size: int, size: int, processes: int) -> None:
    """As BasicSR's loop does it: the batches of a training resumed at each iteration are those of one left alone."""

    def batches(total_iter: int, rank: int, state: dict[str, Any] | None) -> list[tuple[int, list[Any]]]:
        training_length._noting_the_start(lambda opt: state)({})
        opt = options(batch_size, total_iter) | {'world_size': processes, 'rank': rank, 'dist': processes > 1}
        opt['model_type'] = 'DeblurModel'
        loader, sampler, _, last_epoch, _ = create(opt, Dictionaries(size))
        found: list[tuple[int, list[Any]]] = []
        for epoch in range(state['epoch'] if state else 0, last_epoch + 1):
            sampler.set_epoch(epoch)
            for batch in loader:
                found.append((epoch, [batch['index'].tolist(), batch['draw'].tolist(), batch['position'].tolist()]))
        return found[: total_iter - (state['iter'] if state else 0)]

    for rank in range(processes):
        alone = batches(9, rank, None)
        assert len(alone) == 9
        for iteration in range(1, 9):
            epoch, (_, _, positions) = alone[iteration - 1]
            seen = (positions[-1] // processes + 1) * processes
            state = {'epoch': epoch, 'iter': iteration, 'place': {'epoch': epoch, 'seen': seen}}
            assert batches(9, rank, state) == alone[iteration:]


def test_a_state_that_does_not_say_what_was_seen_starts_its_epoch_anew() -> None:
    training_length._noting_the_start(lambda opt: {'epoch': 3, 'iter': 7})({})
    _, sampler, *_ = create(options(2, total_iter=20) | {'model_type': 'DeblurModel'}, Dictionaries(6))
    sampler.set_epoch(3)
    assert len(list(sampler)) == 6


@pytest.mark.parametrize(('size', 'batches'), [(6, 3), (1, 1)])
def test_a_data_set_with_its_own_sampler_gets_it(size: int, batches: int) -> None:
    loader, sampler, *_ = create(options(2, total_iter=4), SeededNumbers(size))
    assert type(sampler) is SeededSampler
    assert loader.sampler is sampler
    assert list(loader.sampler) == [5] * len(sampler)  # the seed that it was given
    assert len(loader) == batches


def test_a_function_of_another_kind_is_left_alone() -> None:
    results: list[Any] = [None, ('loader', 'sampler'), (None, None, [], 1, 2)]
    for result in results:
        wrapped = training_length._reaching_the_total(lambda opt, logger, result=result: result)
        assert wrapped({}, None) is result


def test_models_that_are_not_ours_keep_their_samples_and_workers() -> None:
    """Also beside a validation set of ours: they do not listen for signals, nor are their pairs of one size."""
    opt = options(2, total_iter=4, num_worker_per_gpu=1) | {'model_type': 'SRModel'}
    opt['datasets']['val'] = {'type': 'SingleFolderDataset'}
    loader, sampler, *_ = create(opt, Dictionaries(6))
    assert type(sampler) is EnlargedSampler
    assert isinstance(loader.dataset, Dictionaries)
    assert not isinstance(loader.worker_init_fn, WorkersDeafToSignals)
    loader, *_ = create(opt | {'model_type': 'DeblurModel'}, Dictionaries(6))
    assert isinstance(loader.dataset, PositionedDataset)
    assert isinstance(loader.worker_init_fn, WorkersDeafToSignals)
