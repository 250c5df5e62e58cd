from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from b2b_basicsr.commands.report_command import report
from b2b_basicsr.errors import UserError
from b2b_basicsr.gain.page import write_gain_page
from tests.gain.conftest import Bench
from tests.report.test_run_report import Content


@pytest.fixture
def out(bench: Bench, tmp_path: Path) -> Path:
    bench(seeds=(0, 1))
    return tmp_path / 'out'


def test_tables_curves_and_pictures(out: Path) -> None:
    archived = out / 'experiments' / 'translate_defocus_to_horizontal_recipe_seed0_archived_1' / 'training_states'
    archived.mkdir(parents=True)
    (archived / 'validations.jsonl').write_text('{"iter": 10, "dataset": "held_out", "values": {"gain": 77.0}}\n')
    page = Content(write_gain_page(out))
    assert 'gain: +2.50 ± 0.00 dB (defocus, size tiny, known camera horizontal)' in page.said
    assert 'Recipe: size tiny, known camera horizontal' in page.said
    drawings = [attributes for tag, attributes in page.tags if tag == 'svg']
    assert len(drawings) == 1  # a curve for each seed
    label = str(drawings[0]['aria-label'])
    assert 'seed 0 1 at iteration 10, 2 at iteration 20' in label
    assert 'seed 1' in label
    assert '77' not in label
    assert page.layers() == ['lq', 'direct', 'translated', 'restored', 'gt'] * 2
    assert 'Held-out pictures: defocus to horizontal recipe seed1' in page.said
    assert all(source.startswith('data:') for source in page.sources())


def test_report_makes_the_page_again(out: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / 'page.html'
    result = CliRunner().invoke(report, [str(out), '-o', str(elsewhere), '--pictures', '1'])
    assert result.exit_code == 0, result.output
    page = Content(elsewhere)
    assert 'gain: +2.50' in page.said
    assert len(page.layers()) == 5
    with pytest.raises(UserError, match=r'--iter: .* is a folder of b2b bench gain'):
        CliRunner().invoke(report, [str(out), '--iter', '3'], catch_exceptions=False)


def test_a_folder_that_has_no_results_yet_is_told_as_such(out: Path) -> None:
    (out / 'results.json').unlink()
    with pytest.raises(UserError, match=rf'b2b bench gain has no results there yet; b2b bench gain -o {out} goes on'):
        CliRunner().invoke(report, [str(out)], catch_exceptions=False)


def test_results_of_other_machines_alone_make_a_page(out: Path, tmp_path: Path) -> None:
    alone = tmp_path / 'alone'
    alone.mkdir()
    (alone / 'results.json').write_bytes((out / 'results.json').read_bytes())
    page = Content(write_gain_page(alone))
    assert 'gain: +2.50' in page.said
    assert page.layers() == []
