from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from basicsr.utils.lmdb_util import LmdbMaker
from PIL import Image

from b2b_basicsr.data.picture_source import PictureSource, matched_pairs
from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare import select_pictures as module
from b2b_basicsr.prepare.blur_histogram import draw_histogram
from b2b_basicsr.prepare.select_pictures import Selection, SelectSettings, quantile_table, select_pictures
from b2b_basicsr.prepare.select_rule import KeepRule
from b2b_basicsr.prepare.select_scores import PictureScore

WIDTHS = {'a/0.png': 1, 'a/1.png': 3, 'b/0.png': 5, 'b/1.png': 9, 'c/0.png': 13, 'top.png': 19}
"""Pictures from sharp to blurred: name -> width of the blur."""
AT_ONCE = SelectSettings(resize=None, workers=2)


def texture(width: int, seed: int, size: int = 72) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return Image.fromarray(np.asarray(cv2.blur(noise, (width, 1))))


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Path, Path]:
    for seed, (name, width) in enumerate(WIDTHS.items()):
        for folder, blur in (('blur', width), ('sharp', 1)):
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            texture(blur, seed).save(path)
    return tmp_path / 'blur', tmp_path / 'sharp'


@pytest.fixture(autouse=True)
def blank_histogram(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes seconds; tests that look at the drawing undo this."""
    monkeypatch.setattr(module, 'draw_histogram', lambda path, *_: path.touch())


def kept_names(selection: Selection) -> set[str]:
    return {score.name for score, kept in zip(selection.scores, selection.kept, strict=True) if kept}


def test_the_most_blurred_share_is_kept_by_hard_links(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    selection = select_pictures(pairs[0], None, tmp_path / 'out', KeepRule(share=0.5), AT_ONCE)
    assert kept_names(selection) == {'b/1.png', 'c/0.png', 'top.png'}
    assert selection.folders == [tmp_path / 'out' / 'blur']
    assert PictureSource('key', str(tmp_path / 'out' / 'blur'), {'type': 'disk'}).names == [
        'b/1.png',
        'c/0.png',
        'top.png',
    ]
    assert os.path.samefile(tmp_path / 'out' / 'blur' / 'b' / '1.png', pairs[0] / 'b' / '1.png')
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
        'blur',
        'histogram.png',
        'prepared.json',
        'scores.csv',
    ]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith('.')]


def test_the_sharpest_are_kept_below_a_threshold(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    scored = select_pictures(pairs[0], None, tmp_path / 'report', KeepRule(), SelectSettings(None, write_kept=False))
    third = sorted(score.blur for score in scored.scores)[2]
    selection = select_pictures(pairs[0], None, tmp_path / 'out', KeepRule('sharp', threshold=third), AT_ONCE)
    assert kept_names(selection) == {'a/0.png', 'a/1.png', 'b/0.png'}
    assert selection.folders == [tmp_path / 'out' / 'sharp']
    assert not (tmp_path / 'report' / 'blur').exists()


def test_pairs_are_kept_together_and_psnr_chooses(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    selection = select_pictures(*pairs, tmp_path / 'out', KeepRule(measure='psnr', share=0.34), AT_ONCE)
    assert kept_names(selection) == {'c/0.png', 'top.png'}
    blur, sharp = (PictureSource(part, str(tmp_path / 'out' / part), {'type': 'disk'}) for part in ('blur', 'sharp'))
    assert matched_pairs(blur, sharp) == [(0, 0), (1, 1)]
    by_name = {score.name: score.psnr for score in selection.scores}
    assert by_name['a/0.png'] == float('inf')
    difference = np.asarray(texture(19, 5), dtype=float) - np.asarray(texture(1, 5), dtype=float)
    assert by_name['top.png'] == pytest.approx(10 * np.log10(255**2 / np.mean(difference**2)))
    with (tmp_path / 'out' / 'scores.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [(row['picture'], row['kept']) for row in rows] == [(name, str(int(name > 'c'))) for name in sorted(WIDTHS)]
    assert select_pictures(*pairs, tmp_path / 'keen', KeepRule('sharp', 'psnr', share=0.17), AT_ONCE).kept[0]


def test_manifest_and_histogram_are_whole(
    pairs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, 'draw_histogram', draw_histogram)
    select_pictures(*pairs, tmp_path / 'out', KeepRule(threshold=0.3), AT_ONCE)
    manifest = json.loads((tmp_path / 'out' / 'prepared.json').read_text())
    assert manifest['settings']['threshold'] == 0.3
    assert manifest['settings']['resize'] == 0
    assert manifest['counts']['scored'] == len(WIDTHS)
    with Image.open(tmp_path / 'out' / 'histogram.png') as histogram:
        histogram.load()
        assert histogram.width == 1600
        assert len(histogram.convert('RGB').getcolors(1 << 24) or []) > 1000


def test_earlier_scores_spare_the_scoring(
    pairs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / 'report'
    first = select_pictures(pairs[0], None, report, KeepRule(), SelectSettings(None, write_kept=False))

    def must_not_score(*_: object) -> None:
        raise AssertionError('scored again')

    monkeypatch.setattr(module, 'score_pictures', must_not_score)
    again = SelectSettings(None, scores=report)
    selection = select_pictures(pairs[0], None, tmp_path / 'out', KeepRule(share=0.5), again)
    assert [score.blur for score in selection.scores] == pytest.approx([score.blur for score in first.scores])
    assert kept_names(selection) == {'b/1.png', 'c/0.png', 'top.png'}
    for folder, sharp, settings, told in (
        (pairs[0], None, SelectSettings(256, scores=report), 'its resize is 0, now 256'),
        (pairs[1], None, again, 'its folder is'),
        (pairs[0], pairs[1], again, 'its sharp is None'),
        (pairs[0], None, SelectSettings(None, scores=tmp_path), 'no report'),
    ):
        with pytest.raises(UserError, match=told):
            select_pictures(folder, sharp, tmp_path / 'other', KeepRule(share=0.5), settings)
    texture(1, 9).save(pairs[0] / 'new.png')
    with pytest.raises(UserError, match=r'new\.png'):
        select_pictures(pairs[0], None, tmp_path / 'other', KeepRule(share=0.5), again)
    assert not (tmp_path / 'other').exists()


def test_an_unreadable_picture_ends_it_before_anything_is_written(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    broken = pairs[0] / 'b' / '1.png'
    content = broken.read_bytes()
    broken.unlink()
    broken.write_bytes(content[: len(content) // 2])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=r'b/1\.png cannot be read'):
        select_pictures(pairs[0], None, tmp_path / 'out', KeepRule(share=0.5), AT_ONCE)
    assert sorted(tmp_path.iterdir()) == before
    settings = SelectSettings(None, skip_unreadable=True)
    selection = select_pictures(pairs[0], None, tmp_path / 'out', KeepRule(share=0.6), settings)
    assert list(selection.unreadable) == ['b/1.png']
    assert kept_names(selection) == {'b/0.png', 'c/0.png', 'top.png'}
    later = SelectSettings(None, scores=tmp_path / 'out')
    assert list(select_pictures(pairs[0], None, tmp_path / 'two', KeepRule(share=0.2), later).unreadable) == ['b/1.png']


def test_what_is_there_stays(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'mine.txt').write_text('mine')
    with pytest.raises(UserError, match='is there'):
        select_pictures(pairs[0], None, out, KeepRule(share=0.5), AT_ONCE)
    assert [path.name for path in out.iterdir()] == ['mine.txt']
    with pytest.raises(UserError, match='own source'):
        select_pictures(pairs[0], None, pairs[0] / 'kept', KeepRule(share=0.5), AT_ONCE)


def test_a_failure_while_writing_leaves_nothing(
    pairs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(module, 'draw_histogram', full)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match='disk is full'):
        select_pictures(pairs[0], None, tmp_path / 'out', KeepRule(share=0.5), AT_ONCE)
    assert sorted(tmp_path.iterdir()) == before


def test_refused_links_become_copies(pairs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, 'Invalid cross-device link')

    monkeypatch.setattr(os, 'link', refuse)
    selection = select_pictures(pairs[0], None, tmp_path / 'out', KeepRule(share=0.5), AT_ONCE)
    assert selection.copied == 3
    assert (tmp_path / 'out/blur/top.png').read_bytes() == (pairs[0] / 'top.png').read_bytes()


@pytest.mark.skipif(sys.platform == 'win32', reason='symbolic links need rights there')
def test_symbolic_links_are_resolved(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    linked = tmp_path / 'linked'
    linked.mkdir()
    (linked / 'x.png').symlink_to(Path('..', 'blur', 'top.png'))
    select_pictures(linked, None, tmp_path / 'deep' / 'out', KeepRule(share=1), AT_ONCE)
    kept = tmp_path / 'deep/out/blur/x.png'
    assert not kept.is_symlink()
    assert kept.read_bytes() == (pairs[0] / 'top.png').read_bytes()


def make_lmdb(folder: Path, pictures: dict[str, bytes]) -> Path:
    maker = LmdbMaker(str(folder))
    for key, content in pictures.items():
        maker.put(content, key, (72, 72, 3))
    maker.close()
    return folder


def test_pictures_of_an_lmdb_become_files(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    contents = {name.removesuffix('.png'): (pairs[0] / name).read_bytes() for name in WIDTHS}
    jpeg = tmp_path / 'soft.jpg'
    texture(31, 7).save(jpeg)
    contents['a/soft'] = jpeg.read_bytes()
    database = make_lmdb(tmp_path / 'blur.lmdb', contents)
    selection = select_pictures(database, None, tmp_path / 'out', KeepRule(share=1), AT_ONCE)
    assert kept_names(selection) == contents.keys()
    assert (tmp_path / 'out/blur/a/soft.jpg').read_bytes() == jpeg.read_bytes()
    assert (tmp_path / 'out/blur/top.png').read_bytes() == contents['top']


def test_an_lmdb_key_that_climbs_is_refused(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    # BasicSR cuts keys at a dot, so of those that lead out only an absolute one comes this far
    database = make_lmdb(tmp_path / 'evil.lmdb', {str(tmp_path / 'evil'): (pairs[0] / 'top.png').read_bytes()})
    with pytest.raises(UserError, match=r"LMDB key '/.*/evil' leads out"):
        select_pictures(database, None, tmp_path / 'out', KeepRule(share=1), AT_ONCE)
    assert not (tmp_path / 'evil.png').exists()
    with pytest.raises(UserError, match='leads out'):
        module._write_bytes(tmp_path / 'deep', '../climbed', (pairs[0] / 'top.png').read_bytes())
    assert not (tmp_path / 'climbed.png').exists()


def test_a_phones_jpeg_of_two_pictures_stays_a_jpg(tmp_path: Path) -> None:
    phone = tmp_path / 'phone.jpg'
    texture(9, 1).save(phone, format='MPO', save_all=True, append_images=[texture(9, 2)])
    database = make_lmdb(tmp_path / 'phone.lmdb', {'a/phone': phone.read_bytes()})
    select_pictures(database, None, tmp_path / 'out', KeepRule(share=1), AT_ONCE)
    assert (tmp_path / 'out/blur/a/phone.jpg').read_bytes() == phone.read_bytes()


def test_a_kind_that_data_sets_do_not_list_is_one_line(tmp_path: Path) -> None:
    texture(9, 1).save(tmp_path / 'picture.gif')
    database = make_lmdb(tmp_path / 'odd.lmdb', {'picture': (tmp_path / 'picture.gif').read_bytes()})
    with pytest.raises(UserError, match="LMDB key 'picture': holds a GIF picture"):
        select_pictures(database, None, tmp_path / 'out', KeepRule(share=1), AT_ONCE)
    assert not (tmp_path / 'out').exists()


def test_twins_of_other_sizes_and_missing_twins_are_named(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    texture(1, 5, size=64).save(pairs[1] / 'top.png')
    with pytest.raises(UserError, match=r'top\.png and .*top\.png differ in size'):
        select_pictures(*pairs, tmp_path / 'out', KeepRule(share=0.5), AT_ONCE)
    (pairs[1] / 'top.png').unlink()
    with pytest.raises(UserError, match='no twin'):
        select_pictures(*pairs, tmp_path / 'out', KeepRule(share=0.5), AT_ONCE)


def test_pictures_are_scored_at_the_size_of_training(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    report = SelectSettings(36, write_kept=False)
    selection = select_pictures(*pairs, tmp_path / 'small', KeepRule(), report)
    small = [np.asarray(texture(w, 5).resize((36, 36), Image.Resampling.BICUBIC), dtype=float) for w in (19, 1)]
    expected = 10 * np.log10(255**2 / np.mean((small[0] - small[1]) ** 2))
    assert selection.scores[-1].psnr == pytest.approx(expected)


def test_a_single_flat_picture_can_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, 'draw_histogram', draw_histogram)
    (tmp_path / 'one').mkdir()
    Image.new('RGB', (40, 30), (9, 9, 9)).save(tmp_path / 'one' / 'bläck $x$ 暗.png')
    selection = select_pictures(tmp_path / 'one', tmp_path / 'one', tmp_path / 'out', KeepRule(share=1), AT_ONCE)
    assert selection.scores[0].blur == 1
    with Image.open(tmp_path / 'out' / 'histogram.png') as histogram:
        assert histogram.width == 1600


SCORES = [PictureScore(f'{scene}/{place}', blur) for scene, place, blur in (
    ('a', 0, 0.9), ('a', 1, 0.8), ('a', 2, 0.7), ('b', 0, 0.2), ('b', 1, 0.1)
)] + [PictureScore('x', 0.6), PictureScore('y', 0.65)]  # fmt: skip


@pytest.mark.parametrize(
    ('rule', 'names'),
    [
        (KeepRule(threshold=0.7), {'a/0', 'a/1', 'a/2'}),
        (KeepRule('sharp', threshold=0.2), {'b/0', 'b/1'}),
        (KeepRule(share=0.01), {'a/0'}),
        (KeepRule('sharp', share=0.3), {'b/0', 'b/1'}),
        (KeepRule(share=0.6, per_scene=1), {'a/0', 'y'}),
        (KeepRule('sharp', per_scene=1), {'a/2', 'b/1', 'x', 'y'}),
        (KeepRule(), {score.name for score in SCORES}),
    ],
)
def test_rules(rule: KeepRule, names: set[str]) -> None:
    assert {score.name for score, kept in zip(SCORES, rule.kept(SCORES), strict=True) if kept} == names


def test_a_share_is_exact_and_its_border_reproduces_it() -> None:
    scores = [PictureScore(f'{place:03}', place / 100) for place in range(100)]
    rule = KeepRule(share=0.29)
    assert sum(rule.kept(scores)) == 29
    assert KeepRule(threshold=rule.border(scores)).kept(scores) == rule.kept(scores)


@pytest.mark.parametrize(
    ('settings', 'told'),
    [
        ({'share': 0.5, 'threshold': 0.5}, 'one of the two'),
        ({'share': 0.0}, '--keep-share 0'),
        ({'share': float('nan')}, '--keep-share nan'),
        ({'threshold': 1.5}, 'from 0 to 1'),
        ({'threshold': float('nan')}, '--threshold nan'),
        ({'measure': 'psnr', 'threshold': 300.0}, 'from 0 to 200'),
    ],
)
def test_mistaken_rules_are_refused(settings: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        KeepRule(**settings)  # type: ignore[arg-type]


def test_quantiles_are_scores_of_pictures() -> None:
    scores = [
        PictureScore(str(place), place / 100, float('inf') if place > 98 else float(place)) for place in range(100)
    ]
    head, blur, psnr = quantile_table(scores).splitlines()
    assert head.split() == ['least', '5%', '25%', '50%', '75%', '95%', 'most']
    assert blur.split() == ['blur', '0.000', '0.050', '0.250', '0.500', '0.740', '0.940', '0.990']
    assert psnr.split()[-1] == 'inf'
