from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from basicsr.data.paired_image_dataset import PairedImageDataset

from b2b_basicsr.commands.cli import main
from b2b_basicsr.data.lmdb_clients import close_lmdb_clients
from b2b_basicsr.data.picture_source import PictureSource, matched_pairs
from b2b_basicsr.data.single_folder_dataset import SingleFolderDataset
from b2b_basicsr.prepare import prepared_set
from tests.prepare import published_archives as archives
from tests.prepare.published_archives import Kind

PARTS = [f'{part}/{role}' for part in ('unpaired', 'train', 'test') for role in ('blur', 'sharp')]
MAKERS = {
    'gopro': archives.make_gopro,
    'reds': archives.make_reds,
    'rb2v': archives.make_rb2v,
    'rsblur': archives.make_rsblur,
}


class EndedError(Exception):
    """A command ended with this exit status."""

    def __init__(self, status: int, output: str) -> None:
        super().__init__(f'{status}: {output}')
        self.status = status
        self.output = output


@pytest.fixture
def prepare(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """Runs ``b2b prepare`` in the temporary folder; what it says, or for a failure EndedError."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, 'argv', ['b2b', 'prepare', *map(str, arguments)])
        capfd.readouterr()
        try:
            main()
        except SystemExit as end:
            said = capfd.readouterr()
            if end.code:
                raise EndedError(int(str(end.code)), said.err.replace('\r', '\n')) from end
            return said.out
        raise AssertionError('a command always exits')

    return run


def refusal(prepare: Any, *arguments: object) -> str:
    """The one line with which a command refuses."""
    with pytest.raises(EndedError) as caught:
        prepare(*arguments)
    assert caught.value.status == 2
    lines = [line for line in caught.value.output.splitlines() if line.startswith('error: ')]
    assert len(lines) == 1
    assert caught.value.output.endswith(lines[0] + '\n')
    assert 'Traceback' not in caught.value.output
    return lines[0]


def source(root: Path, part: str, kind: str = 'disk') -> PictureSource:
    return PictureSource(
        f'datasets:train:{part}', str(root / part) + ('.lmdb' if kind == 'lmdb' else ''), {'type': kind}
    )


def scenes(pictures: PictureSource) -> set[str]:
    return {name.rpartition('/')[0] for name in pictures.names}


@pytest.mark.parametrize(
    ('command', 'kind'),
    [
        ('gopro', 'zip'),
        ('gopro', 'tar.gz'),
        ('gopro', 'folder'),
        ('reds', 'zip'),
        ('rb2v', 'tar'),
        ('rsblur', 'tar.gz'),
        ('rsblur', 'folder'),
    ],
)
def test_a_published_set_becomes_folders_as_the_option_files_name_them(
    prepare: Any, tmp_path: Path, command: str, kind: Kind
) -> None:
    given = MAKERS[command](tmp_path / 'downloads', kind, size=(32, 24))
    said = prepare(command, *given, '--incomplete', '-o', 'set')
    root = tmp_path / 'set'
    counts = {part: len(source(root, part)) for part in PARTS}
    assert counts == dict(zip(PARTS, (9, 6, 15, 15, 6, 6), strict=True))
    blurry, sharp = scenes(source(root, 'unpaired/blur')), scenes(source(root, 'unpaired/sharp'))
    assert (len(blurry), len(sharp)) == (3, 2)
    assert not blurry & sharp
    assert max(blurry) < min(sharp)
    for part in ('train', 'test'):
        assert len(matched_pairs(source(root, f'{part}/blur'), source(root, f'{part}/sharp'))) == counts[f'{part}/blur']
    assert not scenes(source(root, 'train/blur')) & scenes(source(root, 'test/blur')) or command == 'reds'
    # hard links: B and the known pairs are one file, and so is a source that was a folder
    name = source(root, 'unpaired/blur').names[0]
    one = root / 'unpaired/blur' / name
    assert one.samefile(root / 'train/blur' / name)
    assert one.stat().st_nlink == (3 if kind == 'folder' else 2)
    manifest = json.loads((root / 'prepared.json').read_text())
    assert manifest['scenes']['unpaired/blur'] == sorted(blurry)
    assert manifest['counts']['test/sharp']['pictures'] == 6
    assert [path['path'] for path in manifest['sources']] == [str(path) for path in given]
    assert 'datasets:train:dataroot_blur' in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ['downloads', 'set']


def test_blurry_and_sharp_are_what_they_were(prepare: Any, tmp_path: Path) -> None:
    given = archives.make_gopro(tmp_path / 'downloads', 'zip', size=(32, 24))
    prepare('gopro', *given, '--incomplete')
    for part, role, make in (
        ('unpaired', 'blur', archives.blurry_frame),
        ('train', 'sharp', archives.sharp_frame),
        ('train', 'blur', archives.blurry_frame),
    ):
        file = tmp_path / 'datasets/GoPro' / part / role / 'GOPR0001_11_00' / '000048.png'
        assert file.read_bytes() == archives.png(make(1, 1, (32, 24)))


def test_lmdb_holds_the_same_and_pairs_match(prepare: Any, tmp_path: Path) -> None:
    (given,) = archives.make_gopro(tmp_path / 'v1.0', 'folder', size=(32, 24))
    scene = given / 'GOPRO_Large' / 'train' / 'GOPR0000_11_00'
    scene.rename(scene.with_name('GOPR 0000.5é'))
    prepare('gopro', given, '--incomplete', '--lmdb', '-o', 'set')
    for part in ('train', 'test'):
        blur, sharp = (
            source(tmp_path / 'set', f'{part}/blur', 'lmdb'),
            source(tmp_path / 'set', f'{part}/sharp', 'lmdb'),
        )
        assert len(matched_pairs(blur, sharp)) == {'train': 15, 'test': 6}[part]
    assert 'GOPR%200000%2E5%C3%A9/000047' in source(tmp_path / 'set', 'train/blur', 'lmdb').names
    assert source(tmp_path / 'set', 'unpaired/blur', 'lmdb').read(0).size == (32, 24)
    assert not list((tmp_path / 'set').rglob('*.png'))
    close_lmdb_clients()
    pairs = PairedImageDataset(
        {
            'dataroot_lq': str(tmp_path / 'set/test/blur.lmdb'),
            'dataroot_gt': str(tmp_path / 'set/test/sharp.lmdb'),
            'io_backend': {'type': 'lmdb'},
            'phase': 'val',
            'scale': 1,
        }
    )
    assert [tuple(pairs[index]['gt'].shape) for index in range(len(pairs))] == [(3, 24, 32)] * 6


def test_what_is_missing_is_said(prepare: Any, tmp_path: Path) -> None:
    (given,) = archives.make_gopro(tmp_path / 'downloads', 'folder', size=(32, 24))
    line = refusal(prepare, 'gopro', given)
    assert 'train: 5 scenes instead of 22; train: 15 pairs instead of 2103' in line
    assert '--incomplete' in line
    (given / 'GOPRO_Large/train/GOPR0002_11_00/sharp/000048.png').unlink()
    (given / 'GOPRO_Large/test').rename(tmp_path / 'elsewhere')
    line = refusal(prepare, 'gopro', given)
    assert 'train: 1 pictures have no sharp twin, the first is GOPR0002_11_00/000048' in line
    assert 'test: no pairs at all' in line
    said = prepare('gopro', given, '--incomplete')
    assert 'note: GoPro is incomplete: test: no pairs at all' in said
    root = tmp_path / 'datasets/GoPro'
    assert len(matched_pairs(source(root, 'train/blur'), source(root, 'train/sharp'))) == 14
    reds = archives.make_reds(tmp_path / 'reds', 'folder', size=(32, 24))
    assert 'train: scenes 005, 006, 007, 008, 009, ... are missing (235 in all)' in refusal(prepare, 'reds', *reds)
    assert not (tmp_path / 'datasets/REDS').exists()


def test_parts_can_be_chosen_and_only_they_are_asked_for(prepare: Any, tmp_path: Path) -> None:
    given = archives.make_rb2v(tmp_path / 'downloads', 'zip', scenes=(5, 0), size=(32, 24))
    assert 'test: no pairs at all' in refusal(prepare, 'rb2v', *given)
    prepare('rb2v', *given, '--parts', 'train, unpaired', '--ratio', 0.2)
    assert sorted(path.name for path in (tmp_path / 'datasets/RB2V').iterdir()) == [
        'prepared.json',
        'train',
        'unpaired',
    ]
    assert len(source(tmp_path / 'datasets/RB2V', 'unpaired/blur')) == 3
    with pytest.raises(EndedError, match="'tset' is none of unpaired, train, test"):
        prepare('rb2v', *given, '--parts', 'tset')


def test_a_wrong_size_is_refused_or_noted(prepare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared_set, 'SetSettings', _with(prepared_set.SetSettings, incomplete=False))
    given = archives.make_gopro(tmp_path / 'downloads', 'zip', size=(32, 24))
    line = refusal(prepare, 'gopro', *given, '--incomplete')
    assert '/blur/000047.png: is 32x24, as published it is 1280x720' in line
    assert 'nothing of it was kept' in line
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert '42 pictures are not 1280x720' in prepare('gopro', *given, '--incomplete')


def _with(settings: Any, **fixed: Any) -> Any:
    return lambda **given: settings(**{**given, **fixed})


def test_twins_of_different_size_are_refused(prepare: Any, tmp_path: Path) -> None:
    (given,) = archives.make_rb2v(tmp_path / 'downloads', 'folder', size=(32, 24))
    (given / 'RB2V_Street/train/sharp/0001/0001.png').write_bytes(archives.png(archives.sharp_frame(1, 1, (30, 24))))
    assert 'is 32x24 and its sharp twin 30x24; take the pair out' in refusal(prepare, 'rb2v', given)
    assert not list((tmp_path / 'datasets').iterdir())


@pytest.mark.parametrize('kind', ['zip', 'folder'])
def test_a_picture_that_is_none_is_named_and_nothing_left(prepare: Any, tmp_path: Path, kind: Kind) -> None:
    (folder,) = archives.make_rb2v(tmp_path / 'made', 'folder', size=(32, 24))
    (folder / 'RB2V_Street/test/sharp/0005/0001.png').write_bytes(b'no picture')
    members = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob('*.png')}
    given = archives.pack(tmp_path / 'downloads', 'RB2V', kind, members)
    line = refusal(prepare, 'rb2v', given)
    assert 'test/sharp/0005/0001.png: cannot be read as a picture' in line
    assert not list((tmp_path / 'datasets').iterdir())


def test_a_full_disk_leaves_nothing(prepare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = archives.make_gopro(tmp_path / 'downloads', 'zip', size=(32, 24))

    def full(file: Any, stream: Any, target: Any) -> None:
        if target.name.endswith('000049.png'):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        target.write(stream.read())

    monkeypatch.setattr(prepared_set, 'copy_stream', full)
    line = refusal(prepare, 'gopro', *given, '--incomplete')
    assert 'the disk is full' in line
    assert 'nothing of it was kept' in line
    assert not list((tmp_path / 'datasets').iterdir())


def test_too_little_space_is_said_before_anything_is_written(
    prepare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = archives.make_gopro(tmp_path / 'downloads', 'zip', size=(32, 24))
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: type('Usage', (), {'free': 1000}))
    assert 'the set takes 0.1 MB, and 0.0 MB are free' in refusal(prepare, 'gopro', *given, '--incomplete')
    assert not list((tmp_path / 'datasets').iterdir())


def test_an_interrupted_run_leaves_nothing(prepare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = archives.make_gopro(tmp_path / 'downloads', 'zip', size=(32, 24))

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(prepared_set, 'copy_stream', interrupted)
    with pytest.raises(EndedError, match='stopped; nothing of it was kept') as caught:
        prepare('gopro', *given, '--incomplete')
    assert caught.value.status == 130
    assert not list((tmp_path / 'datasets').iterdir())


def test_a_hostile_archive_among_good_ones_writes_nothing(prepare: Any, tmp_path: Path) -> None:
    given = archives.make_rb2v(tmp_path / 'downloads', 'tar', size=(32, 24))
    bad = archives.pack(tmp_path / 'downloads', 'bad', 'tar', {'train/blur/../../../../evil.png': b'x'})
    assert str(bad) in refusal(prepare, 'rb2v', *given, bad)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['downloads']


def test_a_file_system_without_hard_links_gets_copies_and_a_note(
    prepare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (given,) = archives.make_rb2v(tmp_path / 'downloads', 'folder', size=(32, 24))

    def refuse(*_: Any) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, 'link', refuse)
    said = prepare('rb2v', given)
    assert said.count('files copied, as the file system refuses hard links') == 1
    assert len(source(tmp_path / 'datasets/RB2V', 'train/blur')) == 15


def test_an_existing_set_is_refused_before_archives_are_listed(prepare: Any, tmp_path: Path) -> None:
    given = archives.make_rb2v(tmp_path / 'downloads', 'zip', size=(32, 24))
    prepare('rb2v', *given)
    given[0].write_bytes(b'no archive any more')
    assert '--force to replace it' in refusal(prepare, 'rb2v', *given)
    archives.make_rb2v(tmp_path / 'downloads', 'zip', frames=1, size=(32, 24))
    prepare('rb2v', *given, '--force')
    assert len(source(tmp_path / 'datasets/RB2V', 'train/blur')) == 5
    assert [path.name for path in (tmp_path / 'datasets').iterdir()] == ['RB2V']


def test_a_set_is_not_laid_into_its_own_source(prepare: Any, tmp_path: Path) -> None:
    (given,) = archives.make_rb2v(tmp_path / 'downloads', 'folder', size=(32, 24))
    for out in (given / 'set', given):
        assert 'give another -o' in refusal(prepare, 'rb2v', given, '-o', out)
    prepare('rb2v', given, '-o', 'set')
    assert 'in its own source' in refusal(prepare, 'rb2v', tmp_path / 'set', '-o', 'set', '--force')


def test_no_layout_is_one_line(prepare: Any, tmp_path: Path) -> None:
    given = archives.pack(tmp_path / 'downloads', 'other', 'zip', {'cats/1.png': b'x', 'dogs/2.png': b'x'})
    assert 'seen: cats/1.png, dogs/2.png' in refusal(prepare, 'rb2v', given)


def test_flat_folders_want_a_pattern_for_scenes(prepare: Any, tmp_path: Path) -> None:
    (folder,) = archives.make_rb2v(tmp_path / 'made', 'folder', size=(32, 24))
    flat = {
        '/'.join((*path.relative_to(folder).parts[:3], '_'.join(path.relative_to(folder).parts[3:]))): path.read_bytes()
        for path in folder.rglob('*.png')
    }
    given = archives.pack(tmp_path / 'downloads', 'flat', 'zip', flat)
    assert 'see --scene-pattern' in refusal(prepare, 'rb2v', given)
    prepare('rb2v', given, '--scene-pattern', r'/(\d+)_\d+\.png$')
    assert len(scenes(source(tmp_path / 'datasets/RB2V', 'unpaired/blur'))) == 3


@pytest.mark.parametrize('kind', ['zip', 'folder'])
def test_phonecraft_videos_become_frames_of_other_scenes(prepare: Any, tmp_path: Path, kind: Kind) -> None:
    given = archives.make_phonecraft(tmp_path / 'downloads', kind, size=(32, 32))
    prepare('phonecraft', *given, '--fps', 3, '--test-share', 0.3)
    root = tmp_path / 'datasets/PhoneCraft'
    assert scenes(source(root, 'unpaired/blur')) == {'clip00', 'clip01', 'clip02'}
    assert scenes(source(root, 'test/blur')) == {'clip03'}
    assert scenes(source(root, 'unpaired/sharp')) == {'clip04', 'clip05', 'clip06'}
    assert len(source(root, 'test/blur')) == 4
    test = SingleFolderDataset(
        {'name': 'val', 'phase': 'val', 'dataroot_lq': str(root / 'test/blur'), 'io_backend': {'type': 'disk'}}
    )
    assert [tuple(test[index]['lq'].shape) for index in range(len(test))] == [(3, 32, 32)] * 4
    assert sorted(path.name for path in root.iterdir()) == ['prepared.json', 'test', 'unpaired']


def test_phonecrafts_own_test_folder_is_kept(prepare: Any, tmp_path: Path) -> None:
    picture = archives.png(archives.sharp_frame(0, 0, (16, 16)))
    paths = ('train/blurry/a/1.png', 'train/blurry/b/1.png', 'train/sharp/c/1.png', 'test/blurry/d/1.png')
    given = archives.pack(tmp_path / 'downloads', 'PhoneCraft', 'tar', dict.fromkeys(paths, picture))
    prepare('phonecraft', given, '--test-share', 0.5)
    root = tmp_path / 'datasets/PhoneCraft'
    assert [scenes(source(root, part)) for part in ('unpaired/blur', 'unpaired/sharp', 'test/blur')] == [
        {'a', 'b'},
        {'c'},
        {'d'},
    ]


def test_own_pictures_and_videos(prepare: Any, tmp_path: Path) -> None:
    blurry, sharp = tmp_path / 'blurry', tmp_path / 'sharp'
    archives.make_video(blurry / 'walk.mp4', frames=12, fps=6, size=(32, 24), blurry=True)
    archives.make_video(sharp / 'stand.avi', scene=1, frames=12, fps=6, size=(32, 24))
    for path in (
        *(blurry / 'night' / f'{place}.jpg' for place in range(3)),
        blurry / 'night' / 'more' / '0.jpg',
        blurry / 'IMG_1.JPG',
        *(sharp / 'night' / f'{place}.jpg' for place in range(2)),  # the same scene
        sharp / 'IMG_2.JPG',
        blurry / 'notes.txt',
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archives.png(archives.sharp_frame(2, 0, (32, 24))))
    said = prepare('folder', '--blur', blurry, '--sharp', sharp, '-o', 'own', '--test-share', 0.5)
    root = tmp_path / 'own'
    found = {part: source(root, part).names for part in ('unpaired/blur', 'unpaired/sharp', 'test/blur')}
    # 'night' stands on both sides and, floor(0.6 * 1) being 0, is S's; of B's IMG_1 and walk the last is for the test
    assert found == {
        'unpaired/blur': ['IMG_1/IMG_1.JPG'],
        'unpaired/sharp': [
            'IMG_2/IMG_2.JPG',
            'night/0.jpg',
            'night/1.jpg',
            *(f'stand/{p:06}.png' for p in (0, 3, 6, 9)),
        ],
        'test/blur': [f'walk/{place:06}.png' for place in (0, 3, 6, 9)],
    }
    assert 'scene names on both sides, used on one only: 1' in said
    assert (root / 'unpaired/blur/IMG_1/IMG_1.JPG').samefile(blurry / 'IMG_1.JPG')


def test_own_files_of_any_kind_may_be_given_and_mistakes_are_named(prepare: Any, tmp_path: Path) -> None:
    video = archives.make_video(tmp_path / 'walk.mp4', frames=4, size=(32, 24))
    (tmp_path / 'still.png').write_bytes(archives.png(archives.sharp_frame(2, 0, (32, 24))))
    (tmp_path / 'spoilt.mp4').write_bytes(b'\0\0\0\x18ftypmp42' + bytes(range(256)) * 8)
    (tmp_path / 'empty').mkdir()
    prepare('folder', '--blur', video, '--sharp', 'still.png', '--fps', 0)
    assert len(source(tmp_path / 'datasets/own', 'unpaired/blur')) == 4
    line = refusal(prepare, 'folder', '--blur', 'walk.mp4', '--blur', 'spoilt.mp4', '--sharp', 'still.png', '-o', 'x')
    assert 'spoilt.mp4: cannot be read as a video' in line
    assert not (tmp_path / 'x').exists()
    assert 'no blurry picture or video' in refusal(
        prepare, 'folder', '--blur', 'empty', '--sharp', 'still.png', '-o', 'x'
    )
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'walk.mp4').write_bytes(video.read_bytes())
    line = refusal(
        prepare, 'folder', '--blur', 'walk.mp4', '--blur', 'other/walk.mp4', '--sharp', 'still.png', '-o', 'x'
    )
    assert 'another file of the sources also is unpaired/blur/walk' in line


def own_stills(tmp_path: Path, folder: str, *names: str) -> Path:
    for place, name in enumerate(names):
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archives.png(archives.sharp_frame(place, 0, (32, 24))))
    return tmp_path / folder


@pytest.mark.parametrize(('picture', 'video'), [('clip/000000.png', 'clip.avi'), ('000000.png', '000000.avi')])
@pytest.mark.parametrize('order', [1, -1])
def test_a_video_beside_a_folder_of_its_name_never_reaches_the_users_pictures(
    prepare: Any, tmp_path: Path, picture: str, video: str, order: int
) -> None:
    stills, sharp = own_stills(tmp_path, 'A', picture, 'other/1.png'), own_stills(tmp_path, 'S', 's/1.png')
    archives.make_video(tmp_path / 'V' / video, frames=4, size=(32, 24))
    before = (stills / picture).read_bytes()
    blurry = [argument for folder in [stills, tmp_path / 'V'][::order] for argument in ('--blur', folder)]
    line = refusal(prepare, 'folder', *blurry, '--sharp', sharp, '-o', 'x', '--test-share', 0)
    assert f'{picture}: would lie in unpaired/blur/{video.removesuffix(".avi")}, among the frames of' in line
    assert (stills / picture).read_bytes() == before
    assert not (tmp_path / 'x').exists()


@pytest.mark.parametrize('again', ['X', './S/../X'])
def test_one_folder_for_both_sides_is_shared_out(prepare: Any, tmp_path: Path, again: str) -> None:
    given = own_stills(tmp_path, 'X', *(f's{place}/1.png' for place in range(5)))
    (tmp_path / 'S').mkdir()
    said = prepare('folder', '--blur', given, '--sharp', again, '-o', 'own', '--test-share', 0)
    assert scenes(source(tmp_path / 'own', 'unpaired/blur')) == {'s0', 's1', 's2'}
    assert scenes(source(tmp_path / 'own', 'unpaired/sharp')) == {'s3', 's4'}
    assert 'both sides are the same: of 5 scenes each is used on one side' in said
    assert len(json.loads((tmp_path / 'own/prepared.json').read_text())['sources']) == 1


def test_a_source_given_twice_for_one_side_is_named(prepare: Any, tmp_path: Path) -> None:
    given = own_stills(tmp_path, 'X', 'a/1.png', 'b/1.png')
    assert f'{given}: is given twice' in refusal(prepare, 'folder', '--blur', 'X', '--blur', given, '--sharp', 'X')
    (packed,) = archives.make_rb2v(tmp_path / 'downloads', 'zip', size=(32, 24))
    assert f'{packed}: is given twice' in refusal(prepare, 'rb2v', packed, packed)


def test_pictures_without_a_split_among_others_are_told(prepare: Any, tmp_path: Path) -> None:
    given = own_stills(tmp_path, 'P', 'blurry/test/1.png', 'blurry/cat/1.png', 'sharp/train/1.png', 'sharp/cat/1.png')
    line = refusal(prepare, 'phonecraft', given)
    assert 'no blurry picture or video for the training' in line
    assert '2 blurry or sharp pictures lie in no folder named train, val or test' in line
    own_stills(tmp_path, 'P', 'blurry/train/a/1.png')
    said = prepare('phonecraft', given)
    assert f'the first is {given}: blurry/cat/1.png' in said


@pytest.mark.parametrize('command', ['gopro', 'reds', 'rb2v', 'rsblur', 'phonecraft', 'folder'])
def test_each_has_help(prepare: Any, command: str) -> None:
    said = prepare(command, '--help')
    assert 'Usage: b2b prepare' in said
    assert '--lmdb' in said


def test_too_few_scenes_for_a_test_are_told(prepare: Any) -> None:
    said = prepare('phonecraft', *archives.make_phonecraft(Path('downloads'), scenes=(3, 2)))
    assert 'no test/blur: 0.1 of 3 blurry scenes is less than one' in said


def test_scenes_in_train_and_in_test_are_told(prepare: Any) -> None:
    given = archives.make_rsblur(Path('downloads'), 'folder', scenes=(3, 1), frames=2)
    lists = {'train': ['0000', '0001', '0002/000000'], 'test': ['0002/000001', '0003']}
    pairs = sorted(str(path.relative_to(given[0])) for path in given[0].rglob('real_blur.png'))
    pairs += sorted(str(path.relative_to(given[0])) for path in given[0].rglob('gt_sharp.png'))
    for split, scenes in lists.items():
        named = [path for path in pairs if any(f'/{scene}/' in f'/{path}' for scene in scenes)]
        Path(f'{split}.txt').write_text('\n'.join(named))
    said = prepare('rsblur', *given, '--list', 'train=train.txt', '--list', 'test=test.txt', '--incomplete')
    assert '1 scenes are in train and in test, the first is 0002' in said


def test_a_source_within_another_is_refused(prepare: Any, tmp_path: Path) -> None:
    for name in ('a/0.png', 'a/b/1.png', 'c/2.png'):
        path = tmp_path / 'mine' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archives.png(archives.sharp_frame(0, 0, (16, 16))))
    line = refusal(prepare, 'folder', '--blur', 'mine/a', '--sharp', 'mine', '-o', 'own')
    assert 'mine/a: lies in mine, which is given, too' in line
    assert not (tmp_path / 'own').exists()


def test_parts_that_are_lost_with_force_are_told(prepare: Any, tmp_path: Path) -> None:
    given = archives.make_gopro(tmp_path / 'downloads', size=(16, 16))
    prepare('gopro', *given, '--incomplete')
    said = prepare('gopro', *given, '--incomplete', '--parts', 'train', '--force')
    assert 'the earlier set also had test, unpaired; replaced by this one, they are gone' in said
    assert 'the earlier set' not in prepare('gopro', *given, '--incomplete', '--force')


@pytest.mark.skipif(sys.platform == 'win32', reason='signals of another kind')
@pytest.mark.parametrize('name', ['SIGTERM', 'SIGHUP'])
def test_a_run_that_is_ended_clears_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    given = archives.make_gopro(tmp_path / 'downloads', size=(16, 16))
    before = signal.getsignal(getattr(signal, name))
    monkeypatch.setattr(prepared_set, '_disk_bytes', lambda _: signal.raise_signal(getattr(signal, name)))
    monkeypatch.setattr(sys, 'argv', ['b2b', 'prepare', 'gopro', *map(str, given), '--incomplete'])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130
    assert not list((tmp_path / 'datasets').iterdir())
    assert signal.getsignal(getattr(signal, name)) == before
