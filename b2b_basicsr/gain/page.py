"""The page of `b2b bench gain`: tables, the gain over the trainings, and pictures of the newest test."""

from __future__ import annotations

import math
import re
from pathlib import Path

from markupsafe import Markup

from b2b_basicsr.gain.results import Results, Row
from b2b_basicsr.gain.summary import highlight, tables
from b2b_basicsr.records.score_names import GAIN
from b2b_basicsr.records.validation_history import ValidationHistory
from b2b_basicsr.report.basicsr_log import Curve
from b2b_basicsr.report.curves import Panel, drawn
from b2b_basicsr.report.embedded_pictures import Encoding, choose, embed_all
from b2b_basicsr.report.page import Page, PictureSet, write_page
from b2b_basicsr.report.run_folder import has_results
from b2b_basicsr.report.score_files import is_score_file, read_scores

_PICTURES = 12
_TRANSLATE = re.compile(r'translate_(?P<what>.+)_seed(?P<seed>\d+)')
_ABOUT = (
    'Photographs were blurred as by cameras of unknown blur, and a deblurrer was trained on pairs of another camera, '
    'whose blur is known. Blur2Blur learnt from unpaired pictures to translate the unknown blur into the known one. '
    'The pictures that are scored were seen in no training. K was given what a user would have to find out: '
    "the target camera's true noise level and, where no kernel network makes it, the known camera's own distribution "
    'of shakes.',
    'The gain is what translation adds: deblurred after translation, less deblurred directly, by the same frozen '
    "deblurrer. The oracle is that deblurrer, fine-tuned on true pairs of the target camera; the gap is the oracle's "
    "gain. Harm is what the known camera's own pictures lose if they go through G before they are deblurred.",
)


def write_gain_page(
    folder: Path, out: Path | None = None, pictures: int = _PICTURES, encoding: Encoding | None = None
) -> Path:
    """Writes the page of a benchmark's folder.

    Args:
        folder: of `b2b bench gain`.
        out: the page; ``None`` for ``index.html`` in the folder.
        pictures: how many of the newest test to embed at most.
        encoding: of the embedded pictures; ``None`` for the usual one.

    Returns:
        The page's path.

    Raises:
        UserError: if the results are damaged, or the page cannot be written.
    """
    rows = Results(folder).rows()
    encoding = encoding or Encoding()
    sets = _newest_pictures(folder, pictures, encoding)
    page = Page(
        title='The gain, measured',
        kind='Benchmark',
        paragraphs=_ABOUT,
        facts=_facts(rows),
        tables=tables(rows),
        highlight=highlight(rows),
        curves=_curves(folder),
        encoding=encoding.said if any(group.embedded for group in sets) else '',
        sets=sets,
    )
    path = out or folder / 'index.html'
    write_page(page, path)
    return path


def _facts(rows: list[Row]) -> list[tuple[str, str]]:
    machines = dict.fromkeys(row.machine.get('gpu') or row.machine.get('processor', '') for row in rows if row.machine)
    dates = sorted({row.machine['date'] for row in rows if 'date' in row.machine})
    facts = {
        'results': str(len(rows)),
        'trained on': '; '.join(filter(None, machines)),
        'dates': ' to '.join(dict.fromkeys([dates[0], dates[-1]])) if dates else '',
    }
    return [(term, what) for term, what in facts.items() if what]


def _curves(folder: Path) -> list[tuple[str, list[tuple[str, Markup]]]]:
    """The gain on held-out pictures over the iterations: a drawing for each camera and variant, a curve for a seed."""
    panels: dict[str, dict[str, Curve]] = {}
    for training in sorted((folder / 'experiments').glob('translate_*')):
        named = _TRANSLATE.fullmatch(training.name)
        if named is None:  # archived
            continue
        for _, iteration, values in ValidationHistory(training / 'training_states' / 'validations.jsonl').until(10**12):
            if GAIN in values and math.isfinite(values[GAIN]):
                curves = panels.setdefault(named['what'].replace('_', ' '), {})
                curves.setdefault(f'seed {named["seed"]}', []).append((iteration, values[GAIN]))
    drawings = drawn(Panel(title, curves, zero_line=True, marked=True) for title, curves in panels.items())
    return [('Gain in dB over the iterations of each training (centre crops)', drawings)] if drawings else []


def _newest_pictures(folder: Path, count: int, encoding: Encoding) -> list[PictureSet]:
    """Of the newest test of a translator that saved any."""
    tables = [
        path
        for path in (folder / 'results').glob('score_*/held_out.csv')
        if re.search(r'_seed\d+$', path.parent.name) and is_score_file(path)
    ]
    for table in sorted(tables, key=lambda path: path.stat().st_mtime, reverse=True):
        found = [picture for picture in read_scores(table) if has_results(picture)]
        if found:
            chosen, said = choose(found, count)
            title = table.parent.name.removeprefix('score_').replace('_', ' ')
            return [PictureSet(f'Held-out pictures: {title}', found, embed_all(chosen, encoding, 'page'), said)]
    return []
