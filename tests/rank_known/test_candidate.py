from __future__ import annotations

from pathlib import Path

import pytest

from b2b_basicsr.errors import UserError
from b2b_basicsr.rank_known.candidate import candidate_of, candidates_of
from tests.rank_known.blurred_sets import write_set


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize('layout', [('train/blur', 'train/sharp'), ('blur', 'sharp'), ('blurry', 'gt')])
def test_pairs_are_found_in_the_layouts_that_we_write(folder: Path, layout: tuple[str, str]) -> None:
    for part in layout:
        write_set(folder / 'gopro' / part, range(2), (3, 1), side=8)
    candidate = candidate_of('gopro')
    assert candidate.name == 'gopro'
    assert (candidate.blur.root, candidate.sharp.root) == tuple(Path('gopro', part) for part in layout)
    assert candidate.pairs() == [(0, 0), (1, 1)]
    assert candidate_of('mine=gopro').name == 'mine'
    assert candidate_of(str(folder / 'gopro')).name == 'gopro'


def test_two_folders_may_be_named(folder: Path) -> None:
    write_set(folder / 'one' / 'blurry', range(2), (3, 1), side=8)
    write_set(folder / 'other' / 'clear', range(2), None, side=8)
    candidate = candidate_of('mine=one/blurry:other/clear')
    assert (candidate.name, candidate.blur.root, candidate.sharp.root) == (
        'mine',
        Path('one/blurry'),
        Path('other/clear'),
    )
    assert candidate_of('one/blurry:other/clear').name == 'one'


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('nowhere', 'no folder'),
        ('alone', 'no pairs in train/blur'),
        ('a=', 'NAME'),
        ('=alone', 'NAME'),
        ('a=alone:nowhere', "CANDIDATE a, sharp: no folder 'nowhere'"),
        ('phone=:', 'CANDIDATE phone, blurry: no path'),
        ('phone=alone:', 'CANDIDATE phone, sharp: no path'),
        ('~nosuchuser/x', 'cannot be looked at'),
        ('a=alone:~nosuchuser/x', 'CANDIDATE a, sharp: .* cannot be looked at'),
        ('x' * 300, 'cannot be looked at'),
    ],
)
def test_mistakes_are_told_in_a_line(folder: Path, text: str, told: str) -> None:
    write_set(folder / 'alone', range(1), None, side=8)
    with pytest.raises(UserError, match=told) as caught:
        candidate_of(text)
    assert '\n' not in str(caught.value)


def test_pictures_without_a_twin_and_names_given_twice_are_refused(folder: Path) -> None:
    write_set(folder / 'a' / 'blur', range(3), (3, 1), side=8)
    write_set(folder / 'a' / 'sharp', range(2), None, side=8)
    with pytest.raises(UserError, match=r'CANDIDATE a, blurry: 1 of 3 .* in CANDIDATE a, sharp'):
        candidate_of('a').pairs()
    with pytest.raises(UserError, match='two have that name'):
        candidates_of(('a', './a'))
