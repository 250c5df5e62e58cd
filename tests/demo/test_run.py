"""The whole demo, with a few iterations: every stage runs, the table and the page come out. Its gain is not judged."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import b2b_basicsr.demo.run as demo
from b2b_basicsr.demo import picture_sets
from b2b_basicsr.demo.photographs import load
from b2b_basicsr.errors import UserError


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a demo of six iterations a stage leaves."""
    target = tmp_path_factory.mktemp('demo') / 'out'
    original = demo._lay_out_options

    def shortened(where: Path, seed: int) -> dict[str, dict[str, Any]]:
        options = original(where, seed)
        for name, old in ((demo.DEBLUR, 500), (demo.TRAIN, 500)):
            path = where / name
            text = path.read_text()
            for number in {
                old,
                options[name]['val']['val_freq'],
                options[name]['train']['scheduler'].get('start', old),
            }:
                text = re.sub(rf'(?<!\d){number}(?!\d)', '6' if number == old else '3', text)
            path.write_text(text)
            options[name]['train']['total_iter'] = 6
        return options

    def small(photographs: dict[str, Any]) -> dict[str, Any]:
        return {name: np.ascontiguousarray(picture[::2, ::2]) for name, picture in load(photographs).items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, '_lay_out_options', shortened)
        patch.setattr(picture_sets, 'load', small)
        gain = demo.run_demo(target, seed=1)
    (target / 'pictures' / 'gain.txt').write_text(f'{gain:+.2f}')
    return target


def test_table_has_the_scores_and_the_gain(folder: Path) -> None:
    table = (folder / 'table.txt').read_text().splitlines()
    assert len(table) == 7
    rows = {line[:42].strip(): [float(v) for v in line[42:].split()] for line in table[1:-1]}
    psnr = {name: values[0] for name, values in rows.items()}
    assert all(10 < values[0] < 50 and 0 < values[1] < 1 for values in rows.values())
    gain = psnr['unknown blur, translated, then deblurred'] - psnr['unknown blur, deblurred directly']
    found = re.fullmatch(r'gain: ([+-]\d+\.\d\d) dB', table[-1])
    assert found is not None
    assert float(found.group(1)) == pytest.approx(gain, abs=0.011)
    assert found.group(1) == (folder / 'pictures' / 'gain.txt').read_text()


class _Sources(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[str] = []
        self.links: list[str] = []
        self.drawings = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.pictures += [value or '' for name, value in attrs if name == 'src']
        self.links += [value or '' for name, value in attrs if name == 'href']
        self.drawings += tag == 'svg'


def test_page_is_self_contained(folder: Path) -> None:
    page = (folder / 'index.html').read_text()
    parser = _Sources()
    parser.feed(page)
    assert parser.drawings == 1  # the curve of gains
    assert len(parser.pictures) == 5 * 6  # six pictures of five kinds
    assert all(source.startswith('data:image/') for source in parser.pictures)
    assert all(link.startswith('#') or link == 'data:,' for link in parser.links)
    assert 'http:' not in page
    assert 'https:' not in page


def test_page_has_the_table(folder: Path) -> None:
    page = (folder / 'index.html').read_text()
    for line in (folder / 'table.txt').read_text().splitlines()[1:-1]:
        name, (psnr, ssim) = line[:42].strip(), line[42:].split()
        assert f'<th scope="row">{name}</th><td>{psnr}</td><td>{ssim}</td>' in page
    assert (folder / 'table.txt').read_text().splitlines()[-1] in page


def test_strips_are_kept(folder: Path) -> None:
    assert len(list((folder / 'pictures').glob('*.png'))) == 6


def test_scenes_are_apart(folder: Path) -> None:
    def scenes(*folders: str) -> set[str]:
        names = (path.stem for name in folders for path in (folder / 'data' / name).iterdir())
        return {re.sub(r'_(\d+|defocus.*)$', '', name) for name in names}

    sets = [scenes('blurry'), scenes('sharp', 'known_sharp', 'known_blur'), scenes('test_blurry', 'test_known_blur')]
    assert [len(names) for names in sets] == [3, 5, 2]
    assert len(set.union(*sets)) == 10


def test_seed_reaches_every_option_file(folder: Path) -> None:
    for name in (demo.DEBLUR, demo.TRAIN, demo.TEST):
        assert 'manual_seed: 1\n' in (folder / name).read_text()


def test_foreign_files_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / 'thesis.tex').write_text('years of work')
    with pytest.raises(UserError, match=r"holds thesis\.tex, which is not the demo's"):
        demo.run_demo(tmp_path, 0)
    assert [path.name for path in tmp_path.iterdir()] == ['thesis.tex']
