from __future__ import annotations

import pytest
from basicsr.data.data_sampler import EnlargedSampler

from b2b_basicsr.data import PositionedSampler, SampleKey


@pytest.mark.parametrize('ratio', [1, 3])
@pytest.mark.parametrize('replicas', [1, 2])
def test_order_is_basicsrs_and_positions_are_the_whole_epoch(ratio: int, replicas: int) -> None:
    dataset = range(7)
    positions = []
    for rank in range(replicas):
        ours = PositionedSampler(dataset, replicas, rank, ratio, seed=11)
        theirs = EnlargedSampler(dataset, replicas, rank, ratio)
        for sampler in (ours, theirs):
            sampler.set_epoch(4)
        keys = list(ours)
        assert [key.picture for key in keys] == list(theirs)
        assert {(key.seed, key.epoch) for key in keys} == {(11, 4)}
        positions += [key.position for key in keys]
    assert sorted(positions) == list(range(len(positions)))


def test_generators_hang_on_all_of_the_key_but_the_picture() -> None:
    key = SampleKey(picture=0, seed=1, epoch=2, position=3)
    draw = key.generator('lq').random()
    assert key._replace(picture=5).generator('lq').random() == draw
    others = [key._replace(seed=2), key._replace(epoch=3), key._replace(position=4)]
    assert len({draw, key.generator('sharp').random(), *(other.generator('lq').random() for other in others)}) == 5
