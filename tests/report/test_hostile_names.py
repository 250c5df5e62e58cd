"""Names come from option files, folders and files of anybody: in a page they are text, whatever is in them."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from markupsafe import escape

from b2b_basicsr.records.picture_scores import ScoredPicture, write_picture_scores
from b2b_basicsr.records.validation_history import ValidationHistory
from tests.report.conftest import OPTIONS, picture, report_of, saved, step

FOLDER_NAME = '<img src=x onerror=alert(1)> "\'&#$^{ javascript:alert(1)'
NAME = '</script></svg><script>alert(2)</script>"\'>&amp;$\\frac$/\n{{ 7 * 7 }} javascript:alert(2)'
KIND = 'x" onload="alert(3)"><script>alert(3)</script>'


class _Elements(HTMLParser):
    """Counts elements, and keeps attributes that would run or load something."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}
        self.harmful: list[tuple[str, str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        for key, value in attrs:
            loads = key in ('href', 'src', 'action', 'xlink:href') and not (value or '').startswith(('#', 'data:'))
            if key.startswith('on') or loads:
                self.harmful.append((tag, key, value))


@pytest.fixture
def page(tmp_path: Path) -> str:
    """The report of a training whose every name is hostile."""
    folder = tmp_path / 'experiments' / FOLDER_NAME
    (folder / 'training_states').mkdir(parents=True)
    options = OPTIONS.format(space=' ', best='psnr').replace('name: run', f'name: {FOLDER_NAME}')
    options = options.replace('Blur2BlurModel', '<script>alert(4)</script>').replace('NAFNet', '<b onclick=alert(5)>')
    (folder / 'train_run_20261122_171725.log').write_text(options + step(100, 1) + step(200, 2))
    history = ValidationHistory(folder / 'training_states' / 'validations.jsonl')
    for iteration in (100, 200):
        for dataset in (FOLDER_NAME, NAME):
            history.add(dataset, iteration, {NAME: 2.0, f'{NAME}_direct': 1.0, '_psnr': 3.0, '_psnr_direct': 4.0})
    files = {
        'lq': saved(folder / 'made' / "it's #1 &.png", picture('lq')),
        'restored': saved(folder / 'made' / 'b.png', picture('restored')),
        KIND: saved(folder / 'made' / 'c.png', picture('direct')),
    }
    table = folder / 'visualization' / FOLDER_NAME / f'{FOLDER_NAME}_200.csv'
    write_picture_scores(table, [ScoredPicture(NAME, {NAME: 2.0, 'gain': 1.0}, files)])
    return report_of(folder, tmp_path / 'report.html').read_text(encoding='utf-8')


def test_names_are_text(page: str) -> None:
    found = _Elements()
    found.feed(page)
    assert found.harmful == []
    assert found.counts['script'] == 1
    assert found.counts['img'] == 3, 'the layers of the picture'
    assert 'onerror' in page
    for name in (FOLDER_NAME, NAME, KIND):
        assert name not in page
        assert str(escape(name)) in page


def test_names_in_curves_are_no_formulas_and_all_there(page: str) -> None:
    drawings = [part.partition('</svg>')[0] for part in page.split('<svg ')[1:]]
    texts = [drawing.partition('>')[2] for drawing in drawings]
    assert sum('$\\frac$' in text for text in texts) == 2
    assert sum('>_psnr<' in text and '>_psnr_direct<' in text for text in texts) == 2
