from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import pytest
from PIL import Image

from b2b_basicsr.bench import data_bench
from b2b_basicsr.bench.data_bench import DECODING, PLAIN, DataBench, bench_forms
from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.data.random_crop import Croppable
from b2b_basicsr.errors import UserError
from tests.bench.turns_here import run_turns_here


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / 'photos'
    folder.mkdir()
    for number, size in enumerate([(160, 90), (90, 160), (200, 200)]):
        levels = np.random.default_rng(number).integers(0, 256, (5, 7, 3), dtype=np.uint8)
        Image.fromarray(levels).resize(size).save(folder / f'{number}.png')
    return folder


def test_each_form_runs_and_has_a_row(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_bench, 'run_in_turns', run_turns_here)
    jpeg, png = DataBench(count=2, photos=photos).measure(rounds=2, progress=False)
    names = [row['form'] for row in png.rows]
    assert names[:2] == [PLAIN, DECODING]
    assert [row['form'] for row in jpeg.rows] == names[:4]
    assert len(names) == 7
    for row in (*jpeg.rows, *png.rows):
        seconds, speed = row['ms/picture'], row['pictures/s/core']
        assert isinstance(seconds, float)
        assert isinstance(speed, float)
        assert seconds * speed == pytest.approx(1000)
    assert jpeg.rows[0]['x plain'] == png.rows[0]['x plain'] == 1


@pytest.mark.parametrize('turns', [1, 2])
def test_all_forms_decode_the_same_pictures(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    pictures = DataBench(count=6, photos=photos).photographs()
    forms = {form.form.name: form.form for form in bench_forms('jpeg', pictures, tmp_path / 'made', 6)}
    opened: list[str] = []
    pillows, sources = Image.open, PictureSource.open

    def open_file(file: Path | IO[bytes], **arguments: Any) -> Image.Image:
        if isinstance(file, Path):  # else the data set, which decodes what it has read
            opened.append(file.stem)
        return pillows(file, **arguments)

    def open_of_set(source: PictureSource, index: int) -> Croppable:
        opened.append(Path(source.names[index]).stem)
        return sources(source, index)

    def decoded(name: str) -> Counter[str]:
        opened.clear()
        turn = forms[name].start(*forms[name].arguments)
        with monkeypatch.context() as patched:
            patched.setattr(Image, 'open', open_file)
            patched.setattr(PictureSource, 'open', open_of_set)
            for _ in range(turns):
                turn()
        return Counter(opened)

    threads = cv2.getNumThreads()
    by_set = decoded('UnpairedBlurDataset, files')
    assert by_set.total() == 6 * turns
    assert decoded('UnpairedBlurDataset, LMDB') == decoded(PLAIN) == decoded(DECODING) == by_set
    cv2.setNumThreads(threads)


def test_files_are_what_the_names_say(photos: Path, tmp_path: Path) -> None:
    forms = bench_forms('png', DataBench(count=4, photos=photos).photographs(), tmp_path / 'made', 4)
    bytes_of = {form.form.name: form.bytes_a_file for form in forms}
    assert bytes_of['uncompressed (PPM), LMDB'] == pytest.approx(1280 * 720 * 3, abs=20)
    assert bytes_of['480x480 sub-images, uncompressed, LMDB'] == pytest.approx(480 * 480 * 3, abs=20)
    sub_images = sorted((tmp_path / 'made' / 'sub_images').iterdir())
    assert len(sub_images) == 3 * 6
    sizes = set()
    for file in sub_images:
        with Image.open(file) as picture:
            sizes.add(picture.size)
    assert sizes == {(480, 480)}


def test_own_pictures_are_made_720p_and_no_more_than_are_used(photos: Path) -> None:
    assert [picture.size for picture in DataBench(count=4, photos=photos).photographs()] == [(1280, 720)] * 3
    assert len(list(DataBench(count=2, photos=photos).photographs())) == 2
    (photos / '0.png').write_bytes(b'')
    with pytest.raises(UserError, match=r'--photos: .*0\.png cannot be read'):
        list(DataBench(count=4, photos=photos).photographs())


def test_photographs_come_in_packages() -> None:
    sizes = {picture.size for picture in DataBench(count=4).photographs()}
    assert sizes == {(1280, 720)}
