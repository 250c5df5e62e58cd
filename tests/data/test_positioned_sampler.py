from __future__ import annotations

import pytest
from basicsr.data.data_sampler import EnlargedSampler

from b2b_basicsr.data import PositionedSampler, SampleKey


def _keys(length: int, replicas: int, rank: int, ratio: int) -> list[SampleKey]:
    sampler = PositionedSampler(range(length), replicas, rank, ratio, seed=11)
    sampler.set_epoch(4)
    keys = list(sampler)
    assert len(keys) == len(sampler)
    return keys


@pytest.mark.parametrize('ratio', [1, 3])
@pytest.mark.parametrize('replicas', [1, 2])
def test_order_is_basicsrs_where_it_divides(ratio: int, replicas: int) -> None:
    for rank in range(replicas):
        theirs = EnlargedSampler(range(8), replicas, rank, ratio)
        theirs.set_epoch(4)
        ours = _keys(8, replicas, rank, ratio)
        assert [key.picture for key in ours] == list(theirs)
        assert {(key.seed, key.epoch) for key in ours} == {(11, 4)}


@pytest.mark.parametrize('ratio', [1, 3])
@pytest.mark.parametrize('replicas', [2, 3, 10])
def test_processes_share_the_order_of_one(ratio: int, replicas: int) -> None:
    """Every key of one process once, interleaved; then the first pictures again, at places of their own."""
    alone = _keys(7, 1, 0, ratio)
    shares = [_keys(7, replicas, rank, ratio) for rank in range(replicas)]
    together = [key for batch in zip(*shares, strict=True) for key in batch]
    assert together[: len(alone)] == alone
    more = together[len(alone) :]
    assert len(more) == -len(alone) % replicas
    assert [key.picture for key in more] == [alone[place % len(alone)].picture for place in range(len(more))]
    assert [key.position for key in together] == list(range(len(together)))


def test_generators_hang_on_all_of_the_key_but_the_picture() -> None:
    key = SampleKey(picture=0, seed=1, epoch=2, position=3)
    draw = key.generator('lq').random()
    assert key._replace(picture=5).generator('lq').random() == draw
    others = [key._replace(seed=2), key._replace(epoch=3), key._replace(position=4)]
    assert len({draw, key.generator('sharp').random(), *(other.generator('lq').random() for other in others)}) == 5
