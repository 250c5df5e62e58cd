from __future__ import annotations

from pathlib import Path

import pytest

from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.published_layouts import FoundPicture, read_layout, read_list
from b2b_basicsr.prepare.set_plan import scenes_by_pattern
from b2b_basicsr.prepare.source_files import SourceFile


def files(*paths: str, source: str = 'set.zip') -> list[SourceFile]:
    return [SourceFile(Path(source), tuple(path.split('/')), 1, place) for place, path in enumerate(paths)]


def told(picture: FoundPicture) -> tuple[str, str, str, str]:
    return picture.split, picture.role, picture.scene, str(picture.frame)


@pytest.mark.parametrize(
    'paths',
    [
        ('GOPRO_Large/train/{}/blur/1.png', 'GOPRO_Large/train/{}/sharp/1.png'),  # GoPro
        ('train/train_blur/{}/1.png', 'train/train_sharp/{}/1.png'),  # REDS
        ('RB2V_Street/train/blur/{}/1.png', 'RB2V_Street/train/sharp/{}/1.png'),
        ('x/y/Blurry/{}/1.png', 'x/z/GT/{}/1.png'),  # no split at all, other words, other tops
        ('{}/real_blur/1.png', '{}/gt/1.png'),
        ('RSBlur/train/{}/1/blur/real_blur.png', 'RSBlur/train/{}/1/gt/gt_sharp.png'),  # roles in the files' names
    ],
)
def test_layouts_are_told_by_words_on_the_path(paths: tuple[str, str]) -> None:
    layout = read_layout(files(*(path.format(scene) for scene in ('s1', 's2') for path in paths)))
    assert sorted(map(told, layout.pictures)) == [
        ('train', 'blur', 's1', '1.png'),
        ('train', 'blur', 's2', '1.png'),
        ('train', 'sharp', 's1', '1.png'),
        ('train', 'sharp', 's2', '1.png'),
    ]
    assert layout.left_out == 0


def test_role_and_split_may_stand_in_the_archives_name() -> None:
    found = [*files('000/1.png', '001/1.png', source='train_blur.zip'), *files('000/1.png', source='val_sharp.tar.gz')]
    assert sorted(told(picture) for picture in read_layout(found).pictures) == [
        ('train', 'blur', '000', '1.png'),
        ('train', 'blur', '001', '1.png'),
        ('val', 'sharp', '000', '1.png'),
    ]


def test_other_kinds_are_left_out() -> None:
    layout = read_layout(
        files(
            'train/s/blur/1.png',
            'train/s/blur_gamma/1.png',
            'train/train_sharp_bicubic/X4/s/1.png',
            'RSBlur/s/1/blur/avg_blur.png',
            source='GOPRO_blur.zip',
        )
    )
    assert [told(picture)[1] for picture in layout.pictures] == ['blur']
    assert layout.left_out == 3


def test_parts_of_a_set_stay_apart_where_scene_numbers_repeat() -> None:
    layout = read_layout(files('street/train/blur/0001/1.png', 'face/train/blur/0001/1.png'))
    assert {picture.scene for picture in layout.pictures} == {'street/0001', 'face/0001'}


def test_one_scene_keeps_its_name() -> None:
    layout = read_layout(files('GOPRO_Large/test/s1/blur/1.png', 'GOPRO_Large/test/s1/blur/2.png'))
    assert {picture.scene for picture in layout.pictures} == {'s1'}


def test_videos_are_scenes_and_role_words_may_be_loose() -> None:
    layout = read_layout(
        files('PhoneCraft/blurry_videos/a.mp4', 'PhoneCraft/blurry_videos/b.mp4', 'PhoneCraft/sharp videos/c.mov'),
        loose=True,
    )
    assert sorted((picture.role, picture.scene) for picture in layout.pictures) == [
        ('blur', 'a'),
        ('blur', 'b'),
        ('sharp', 'c'),
    ]


def test_nothing_found_says_what_was_sought_and_seen() -> None:
    with pytest.raises(UserError, match=r'no folder named blur, blurry, .* seen: a/1.png, b/2.png, c/3.png$'):
        read_layout(files('a/1.png', 'b/2.png', 'c/3.png', 'd/4.png'))
    with pytest.raises(UserError, match='no picture at all'):
        read_layout([])


def test_list_files_tell_splits(tmp_path: Path) -> None:
    (tmp_path / 'train.txt').write_text('RSBlur/0001/1/gt/gt_sharp.png RSBlur/0001/1/blur/real_blur.png\n')
    (tmp_path / 'test.txt').write_text('./RSBlur/0002/1/gt/gt_sharp.png,RSBlur/0002/1/blur/real_blur.png\n')
    found = files(
        *(f'data/RSBlur/{s}/1/{n}' for s in ('0001', '0002', '0003') for n in ('blur/real_blur.png', 'gt/gt_sharp.png'))
    )
    lists = {split: read_list(str(tmp_path / f'{split}.txt')) for split in ('train', 'test')}
    layout = read_layout(found, lists=lists)
    assert sorted((picture.split, picture.role, picture.scene) for picture in layout.pictures) == [
        ('test', 'blur', '0002'),
        ('test', 'sharp', '0002'),
        ('train', 'blur', '0001'),
        ('train', 'sharp', '0001'),
    ]
    assert layout.left_out == 2


def test_a_list_that_names_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_text('hello\n')
    with pytest.raises(UserError, match='names no picture'):
        read_list(str(tmp_path / 'list.txt'))
    with pytest.raises(UserError, match='cannot be read'):
        read_list(str(tmp_path / 'nowhere.txt'))


def test_a_pattern_names_scenes_where_folders_do_not() -> None:
    flat = read_layout(files('train/blur/0001_05.png', 'train/blur/0002_05.png'))
    named = scenes_by_pattern(flat, r'(\d+)_\d+\.png')
    assert [picture.scene for picture in named.pictures] == ['0001', '0002']
    for pattern, said in (('(', 'no regular expression'), (r'\d', 'has 0 groups'), (r'(x+)\d', 'finds no scene')):
        with pytest.raises(UserError, match=said):
            scenes_by_pattern(flat, pattern)


def test_twins_match_where_one_role_has_more_parts() -> None:
    layout = read_layout(
        files(
            *(f'train/blur/street/{scene}/1.png' for scene in ('000', '001')),
            *(f'train/sharp/{scene}/1.png' for scene in ('face/001', 'street/000', 'street/001')),
        )
    )
    keys = {role: {p.twin_key for p in layout.pictures if p.role == role} for role in ('blur', 'sharp')}
    assert keys['blur'] == {('street/000', '1'), ('street/001', '1')}
    assert keys['sharp'] == keys['blur'] | {('face/001', '1')}


def test_scenes_named_like_splits_are_not_lost_silently() -> None:
    below = read_layout(files('train/blur/test/1.png', 'train/blur/cat/1.png'))
    assert [told(picture) for picture in below.pictures] == [
        ('train', 'blur', 'test', '1.png'),
        ('train', 'blur', 'cat', '1.png'),
    ]
    assert below.notes == ()
    layout = read_layout(files('blur/train/1.png', 'blur/cat/1.png', 'sharp/train/1.png', 'sharp/cat/1.png'))
    assert len(layout.pictures) == 2
    (note,) = layout.notes
    assert note.startswith('2 blurry or sharp pictures lie in no folder named train, val or test')
    assert note.endswith('the first is set.zip: blur/cat/1.png')
    assert scenes_by_pattern(layout, '(train)').notes == layout.notes
