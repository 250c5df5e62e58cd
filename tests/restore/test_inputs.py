from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from b2b_basicsr.errors import UserError
from b2b_basicsr.restore.inputs import Job, find_jobs
from b2b_basicsr.restore.sharing import Meeting, Share


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (
        'in/10.png',
        'in/9.png',
        'in/B.JPG',
        'in/notes.txt',
        'in/.hidden.png',
        'in/deep/er/äß 日本.tif',
        'in/deep/clip.MP4',
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path / 'in'


ALL = ['9.png', '10.png', 'B.JPG', 'deep/clip.MP4', 'deep/er/äß 日本.tif']


def results(*inputs: str, out: str = 'out', translated: bool = False, compared: bool = False) -> list[str]:
    jobs = find_jobs(inputs, Path(out), translated, compared).jobs
    assert all(job.source.is_file() for job in jobs)
    return [job.result.relative_to(out).as_posix() for job in jobs]


def test_a_folder_gives_its_files_of_any_depth_in_natural_order(folder: Path) -> None:
    assert results('in') == ALL
    assert find_jobs(['in'], Path('out')).others == {'.txt': 1}
    assert find_jobs(['in/**', 'in'], Path('out')).others == {'.txt': 1}, 'counted once, however often it is met'


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        ('in/*', ALL),
        ('in/**/*.tif', ['deep/er/äß 日本.tif']),
        ('in/?.png', ['9.png']),
        ('i[n]/deep/*.MP4', ['in/deep/clip.MP4']),
        ('in/B.JPG', ['B.JPG']),
        ('in/deep', ['clip.MP4', 'er/äß 日本.tif']),
    ],
)
def test_globs_and_files(folder: Path, given: str, expected: list[str]) -> None:
    assert results(given) == expected


def test_a_name_with_brackets_is_no_glob(folder: Path) -> None:
    (folder / 'a[1].png').touch()
    assert results('in/a[1].png') == ['a[1].png']


def test_one_file_given_twice_is_one_job(folder: Path) -> None:
    assert results('in/9.png', 'in/*.png', 'in/10.png') == ['9.png', '10.png']


def test_results_are_no_inputs_and_the_list_stays_while_they_appear(folder: Path) -> None:
    before = results('in', out='in/out')
    for name in ('9.png', 'deep/clip.MP4'):
        (folder / 'out' / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / 'out' / name).touch()
    assert results('in', out='in/out') == before == ALL
    assert results('in/**/*.png', 'in/*', out='in/out') == before


def test_links_are_followed_but_not_in_circles(folder: Path, tmp_path: Path) -> None:
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere' / 'x.png').touch()
    (folder / 'linked').symlink_to(tmp_path / 'elsewhere')
    (folder / 'deep' / 'up').symlink_to(folder)
    assert results('in') == [*ALL, 'linked/x.png']
    assert results('in/**/*.png') == ['9.png', '10.png', 'linked/x.png']


@pytest.mark.parametrize(
    ('inputs', 'out', 'told'),
    [
        (['nowhere'], 'out', 'nowhere: no such file or folder'),
        (['in/*.webp'], 'out', 'matches no file'),
        (['in/notes.txt'], 'out', 'no picture or video that can be restored'),
        (['in'], 'in', 'in: is, or lies in, the folder for the results'),
        (['in/deep'], 'in', 'in/deep: is, or lies in, the folder for the results'),
        (['in/9.png'], 'in', 'in/9.png: would be overwritten by the result of in/9.png'),
        (['in'], 'in/notes.txt', 'in/notes.txt: is a file'),
        (['in', 'other'], 'out', 'would both be written to out/9.png'),
        (['empty'], 'out', 'no picture or video in empty (1 file of other kinds left out: .md)'),
    ],
)
def test_mistakes_are_one_line(folder: Path, tmp_path: Path, inputs: list[str], out: str, told: str) -> None:
    for name in ('other/9.png', 'empty/x.md'):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    with pytest.raises(UserError) as caught:
        find_jobs(inputs, Path(out))
    assert told in str(caught.value)
    assert '\n' not in str(caught.value)


def test_what_is_written_beside_the_results_may_not_clash_either(folder: Path) -> None:
    (folder / '9_compare.png').touch()
    assert '9_compare.png' in results('in', translated=True)
    with pytest.raises(UserError, match=r'both be written to out/9_compare\.png'):
        results('in', compared=True)
    (folder / '9.jpg').touch()
    (folder / '9_compare.png').unlink()
    assert len(results('in', translated=True)) == len(ALL) + 1
    with pytest.raises(UserError, match=r'both be written to out/9_compare\.png'):
        results('in', compared=True)


@pytest.mark.parametrize('processes', [1, 2, 3, 7, 20])
def test_shares_are_whole_apart_and_balanced(processes: int) -> None:
    names = [f'{place}.png' for place in range(11)] + [f'{place}.mp4' for place in range(4)]
    jobs = [Job(Path('in', name), Path('out', name)) for name in names]
    shares = [Share(rank, processes).of(jobs) for rank in range(processes)]
    assert sorted((job for share in shares for job in share), key=jobs.index) == jobs
    for videos in (True, False):
        counts = [sum(job.is_video == videos for job in share) for share in shares]
        assert max(counts) - min(counts) <= 1
    totals = [len(share) for share in shares]
    assert max(totals) - min(totals) <= 1 + (processes < 4)


def test_shares_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    assert Share.from_environment() == Share(0, 1)
    monkeypatch.setenv('RANK', '2')
    with pytest.raises(UserError, match='WORLD_SIZE=None'):
        Share.from_environment()
    monkeypatch.setenv('WORLD_SIZE', '4')
    assert Share.from_environment() == Share(2, 4)
    monkeypatch.setenv('WORLD_SIZE', '2')
    with pytest.raises(UserError, match='RANK from 0'):
        Share.from_environment()


def test_what_a_link_leads_to_is_an_input_as_well(folder: Path, tmp_path: Path) -> None:
    (tmp_path / 'chosen').mkdir()
    (tmp_path / 'chosen' / '9.png').symlink_to(folder / '9.png')
    with pytest.raises(UserError, match=r'chosen/9\.png: would be overwritten'):
        find_jobs(['chosen'], folder)


def test_a_process_that_meets_nobody_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('MASTER_ADDR', 'localhost')
    monkeypatch.setenv('MASTER_PORT', '1')
    monkeypatch.setattr('b2b_basicsr.restore.sharing._PATIENCE', timedelta(seconds=1))
    with pytest.raises(UserError, match=r'process 2 of 2 met nobody at localhost:1 .*start all processes'):
        Meeting.join(Share(1, 2))


def test_pipes_devices_and_broken_links_are_not_opened_but_told(folder: Path) -> None:
    os.mkfifo(folder / 'pipe.png')
    (folder / 'link.png').symlink_to('nowhere.png')
    (folder / 'zero.mp4').symlink_to('/dev/zero')
    assert results('in') == ALL
    assert find_jobs(['in'], Path('out')).others == {'.txt': 1, 'broken links, pipes and devices': 3}
    for given, what in (
        ('in/pipe.png', 'a named pipe'),
        ('in/zero.mp4', 'a device'),
        ('in/link.png', 'a link to nothing'),
    ):
        with pytest.raises(UserError, match=f'{given}: is {what}'):
            find_jobs([given], Path('out'))
