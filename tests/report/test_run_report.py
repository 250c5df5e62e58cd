"""The page's content, read as HTML."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from basicsr.utils.registry import METRIC_REGISTRY
from click.testing import CliRunner
from numpy.typing import NDArray

from b2b_basicsr.commands.cli import b2b, main
from b2b_basicsr.errors import UserError
from b2b_basicsr.records.picture_scores import ScoredPicture, write_picture_scores
from b2b_basicsr.report.embedded_pictures import Encoding, choose, embed
from b2b_basicsr.report.run_folder import open_run
from tests.report.conftest import COLOURS, OPTIONS, picture, report_of, saved


class Content(HTMLParser):
    """What the tests ask a page for."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self._silent = False
        self.feed(path.read_text(encoding='utf-8'))
        self.said = ' '.join(' '.join(self.text).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [str(value) for name, value in attrs if name == 'id']
        self._silent = tag in ('script', 'style')

    def handle_endtag(self, tag: str) -> None:
        self._silent = False

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.text.append(data)

    def sources(self) -> list[str]:
        return [str(attributes['src']) for tag, attributes in self.tags if tag == 'img']

    def layers(self) -> list[str]:
        return [str(attributes['data-kind']) for _, attributes in self.tags if 'data-kind' in attributes]


def _decoded(source: str) -> NDArray[np.uint8]:
    content = base64.b64decode(source.partition('base64,')[2])
    return np.asarray(cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR))


def test_page_of_a_test(test_run: Path) -> None:
    page = Content(report_of(test_run))
    assert 'Test run' in page.said
    assert 'held_out, means over 3 pictures' in page.said
    assert 'metric blurry direct restored gain psnr, dB ↑ 26.50 24.00 26.00 +2.00' in page.said
    assert 'ssim ↑ 0.7000 0.9000 0.8000' in page.said
    assert 'By psnr, restored is worse than the blurry pictures as they are.' in page.said
    assert 'net_g_best.pth' in page.said
    assert 'All 3 pictures.' in page.said
    assert page.layers() == [*COLOURS, 'lq', 'translated', 'restored', 'gt', *COLOURS]
    for kind, source in zip(page.layers()[:5], page.sources()[:5], strict=True):
        levels = _decoded(source)
        assert levels.shape == (48, 64, 3)
        assert np.abs(levels[2, 2].astype(int) - COLOURS[kind]).max() < 6
    assert len(page.ids) == len(set(page.ids))


def test_text_from_files_is_escaped(test_run: Path) -> None:
    path = report_of(test_run)
    assert 'scene1/<b>&"c"' in Content(path).said
    assert '<b>&"c"' not in path.read_text(encoding='utf-8')


def test_page_asks_no_network(training_run: Path) -> None:
    text = report_of(training_run).read_text(encoding='utf-8')
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy.group(1).startswith("default-src 'none'; img-src data:;")
    assert "script-src 'sha256-" in policy.group(1)
    assert not re.search(r'https?:|@import|url\((?!#)', text)


def test_page_of_a_training(training_run: Path) -> None:
    path = report_of(training_run)
    page = Content(path)
    assert 'Scores and pictures are those of iteration 200 (the best psnr).' in page.said
    assert 'psnr, dB ↑ 23.50 26.00 +2.50' in page.said
    assert '1,400 of 1,000' in page.said
    labels = [str(attributes['aria-label']) for tag, attributes in page.tags if tag == 'svg']
    assert labels[:2] == [
        'psnr: psnr 24 at iteration 100, 25 at iteration 300; psnr_direct 23.5 at iteration 100, 23.5 at iteration 300',
        'gain: gain 0.5 at iteration 100, 1.5 at iteration 300',
    ]
    assert [label.partition(':')[0] for label in labels[2:]] == ['losses of G', "D's answers"], 'no curve of NaN alone'
    assert 'l_g_gan 100 at iteration 100, 1.4 at iteration 1400' in labels[2]
    assert len(page.ids) == len(set(page.ids))
    references = re.findall(r'(?:url\(#|href="#)([^")]+)', path.read_text(encoding='utf-8'))
    assert references
    assert set(references) <= set(page.ids)
    assert page.layers() == ['lq', 'restored']


def test_given_pictures_are_cut_to_what_was_restored(training_run: Path) -> None:
    page = Content(report_of(training_run))
    given = _decoded(page.sources()[0])
    assert given.shape == (48, 64, 3)
    assert given[24, 32].max() < 40, 'the square in the middle stays in the middle'
    assert given[2, 2, 0] > 150


def test_iteration_can_be_chosen(training_run: Path) -> None:
    assert 'those of iteration 100 (as asked for)' in Content(report_of(training_run, iteration=100)).said
    page = Content(report_of(training_run, iteration=300))
    assert 'psnr, dB ↑ 23.50 25.00 +1.50' in page.said
    assert 'No pictures were saved at this iteration; val: save_img: true' in page.said
    assert not page.sources()
    with pytest.raises(UserError, match=r'--iter: no validation at iteration 7 of run; there are: 100, 200, 300'):
        report_of(training_run, iteration=7)


def test_without_pictures_of_the_best_the_last_ones_are_shown(training_run: Path) -> None:
    (training_run / 'visualization' / 'held_out' / 'a' / 'a_200.png').unlink()
    said = Content(report_of(training_run)).said
    assert 'those of iteration 100 (the last that saved pictures)' in said


def test_training_without_validation_has_curves(training_run: Path) -> None:
    (training_run / 'training_states' / 'validations.jsonl').unlink()
    for table in training_run.glob('visualization/*/*.csv'):
        table.unlink()
    page = Content(report_of(training_run))
    assert 'There was no validation yet.' in page.said
    assert sum(tag == 'svg' for tag, _ in page.tags) == 2


def test_missing_and_broken_files_are_left_out_and_said(test_run: Path) -> None:
    folder = test_run / 'visualization' / 'held_out'
    (folder / '0_gt.png').unlink()
    (folder / '0_lq.png').write_bytes(b'no picture')
    saved(folder / '0_translated.png', picture('translated', 20, 20))
    (folder / '0_restored.png').unlink()
    page = Content(report_of(test_run))
    assert page.layers()[:2] == ['direct', 'lq']
    assert 'Left out, as their files are gone, unreadable or of another size:' in page.said
    assert 'blurry (1)' in page.said
    assert 'sharp (1)' in page.said


def test_no_ground_truth_no_scores(tmp_path: Path) -> None:
    folder = tmp_path / 'run'
    files = {kind: saved(folder / f'{kind}.png', picture(kind)) for kind in ('lq', 'restored')}
    write_picture_scores(folder / 'mine.csv', [ScoredPicture('a', {}, files)])
    page = Content(report_of(folder))
    assert page.layers() == ['lq', 'restored']
    assert 'Scores of each picture' not in page.said


@pytest.mark.parametrize(
    ('count', 'gains'), [(3, [-1.0, 2.0, 9.0]), (1, [2.0]), (0, []), (9, [9.0, -1.0, 3.0, 2.0, 1.0])]
)
def test_some_of_many_pictures_are_spread_over_the_gains(count: int, gains: list[float]) -> None:
    pictures = [ScoredPicture(str(gain), {'gain': gain}) for gain in (9.0, -1.0, 3.0, 2.0, 1.0)]
    chosen, said = choose(pictures, count)
    assert sorted(picture.values['gain'] for picture in chosen) == sorted(gains)
    assert said.startswith('All 5 pictures' if count > 5 else f'{count} of 5 pictures')


def test_large_pictures_are_made_smaller(test_run: Path) -> None:
    page = Content(report_of(test_run, encoding=Encoding(max_side=32)))
    assert {_decoded(source).shape for source in page.sources()} == {(24, 32, 3)}
    assert '3 were made smaller, to 32 pixels' in page.said


@pytest.mark.parametrize(
    ('arguments', 'said', 'worst'),
    [
        ([], 'lossy WebP, quality 95 of 100; the scores are of the pictures themselves. --quality 100', 40),
        (['--quality', '20'], 'lossy WebP, quality 20 of 100', 90),
        (['--quality', '100'], 'The pictures are embedded as lossless WebP.', 0),
    ],
)
def test_quality_of_the_pictures_is_chosen_and_said(
    test_run: Path, arguments: list[str], said: str, worst: int
) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    file = test_run / 'visualization' / 'held_out' / '0_lq.png'
    detailed = np.asarray(cv2.resize(levels, (64, 48), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    saved(file, detailed)
    assert CliRunner().invoke(b2b, ['report', str(test_run), *arguments]).exit_code == 0
    page = Content(test_run / 'report.html')
    assert said in page.said
    error = np.abs(_decoded(page.sources()[0]).astype(int) - detailed).max()
    assert error <= worst
    assert (error == 0) == (worst == 0)


def test_page_without_pictures_says_nothing_of_their_quality(training_run: Path) -> None:
    assert 'WebP' not in Content(report_of(training_run, iteration=300)).said


def test_gain_stands_beside_the_name(test_run: Path) -> None:
    page = Content(report_of(test_run))
    assert 'picture gain psnr ssim psnr_blurry ssim_blurry psnr_direct ssim_direct scene0/a +1.00 25.00' in page.said


def test_scores_are_read_without_what_made_them(test_run: Path) -> None:
    """Nobody waits for torch to be loaded, nor for a drawing library to be told of a wrong folder."""
    script = """
import sys
from click.testing import CliRunner
from b2b_basicsr.commands.cli import b2b
heavy = ('torch', 'basicsr', 'matplotlib', 'cv2', 'numpy')
CliRunner().invoke(b2b, ['report', 'nowhere'])
print([name for name in heavy if name in sys.modules])
assert CliRunner().invoke(b2b, ['report', sys.argv[1]]).exit_code == 0
print([name for name in heavy[:2] if name in sys.modules])
"""
    done = subprocess.run([sys.executable, '-c', script, str(test_run)], capture_output=True, text=True, check=True)
    assert done.stdout.split('\n')[:2] == ['[]', '[]']


def test_largest_webp(tmp_path: Path) -> None:
    files = {'restored': saved(tmp_path / 'long.png', np.zeros((1, 17000, 3), dtype=np.uint8))}
    shown = embed(ScoredPicture('long', {}, files), Encoding(max_side=20000))
    assert shown is not None
    assert (shown.width, shown.height) == (16383, 1)
    assert _decoded(shown.layers[0].source).shape == (1, 16383, 3)


def test_command(test_run: Path, tmp_path: Path) -> None:
    out = tmp_path / 'new' / 'page.html'
    out.parent.mkdir()
    done = CliRunner().invoke(b2b, ['report', str(test_run), '-o', str(out), '--pictures', '1'])
    assert done.exit_code == 0, done.output
    assert f'Page: {out}' in done.output
    assert '1 of 3 pictures' in Content(out).said
    assert [path.name for path in out.parent.iterdir()] == ['page.html']


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['nowhere'], 'nowhere: is no folder'),
        (['.'], 'neither a training'),
        (['run', '-o', '.'], '-o: . is a folder'),
        (['run', '-o', 'nowhere/at/all.html'], '-o: nowhere/at is no folder; make it first'),
        (['run', '--quality', '101'], "'--quality': 101 is not in the range 1<=x<=100"),
        (['run', '--iter', '5'], '--iter: run is a test'),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    said: str,
    test_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(test_run.parent)
    monkeypatch.setattr('sys.argv', ['b2b', 'report', *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    error = capsys.readouterr().err
    assert end.value.code == 2
    assert error.count('\n') == 1
    assert said in error
    assert [path.name for path in Path().iterdir()] == ['run']


@pytest.mark.parametrize(
    ('metric', 'better'), [('psnr', 'higher'), ('lpips', 'lower'), ('niqe', 'lower'), ('x', 'higher')]
)
def test_which_values_are_better(test_run: Path, metric: str, better: str) -> None:
    assert open_run(test_run).better(metric) == better


def test_metrics_are_better_as_they_say_themselves(test_run: Path) -> None:
    log = test_run / 'test_run_20261122_171725.log'
    ours = [name for name, metric in METRIC_REGISTRY if hasattr(metric, 'better')]
    assert 'calculate_lpips' in ours
    for name in ours:
        log.write_text(OPTIONS.format(space=' ', best=None).replace('calculate_psnr', name))
        assert open_run(test_run).better('psnr') == METRIC_REGISTRY.get(name).better


def test_broken_table_is_named(test_run: Path) -> None:
    table = test_run / 'held_out.csv'
    table.write_text(table.read_text().replace('25.0', 'many'))
    with pytest.raises(UserError, match=r'held_out\.csv: cannot be read as a table of scores'):
        report_of(test_run)


def test_page_that_cannot_be_written_leaves_the_old_one(test_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = report_of(test_run)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Path, 'replace', full)
    with pytest.raises(UserError, match='the disk is full'):
        report_of(test_run, pictures=1)
    assert path.read_bytes() == before
    assert not list(test_run.glob('.*'))
