"""The page of a run: what was found, how it came about, and the pictures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from markupsafe import Markup

from b2b_basicsr.report.curves import drawn, loss_panels, metric_panels
from b2b_basicsr.report.embedded_pictures import (
    LABELS,
    LOSSLESS,
    EmbeddedPicture,
    Encoding,
    choose,
    data_uri,
    embed_all,
    read_levels,
)
from b2b_basicsr.report.page import Page, PictureSet, write_page
from b2b_basicsr.report.run_folder import Run, ScoredSet, has_results
from b2b_basicsr.report.score_table import score_table


def write_report(
    run: Run, out: Path, iteration: int | None = None, pictures: int = 24, encoding: Encoding | None = None
) -> None:
    """Writes the page of a training or a test.

    Args:
        run: as ``open_run`` found it.
        out: the file, in a folder that is there.
        iteration: of a training; see :meth:`Run.chosen_iteration`.
        pictures: how many of each set to embed at most.
        encoding: of the embedded pictures; ``None`` for the usual one.

    Raises:
        UserError: if the iteration was not validated, or the file cannot be written.
    """
    encoding = encoding or Encoding()
    chosen, why = run.chosen_iteration(iteration)
    sets = run.sets_at(chosen)
    tables = [
        score_table(f'{group.name}, means over {_counted(group)}', group.means, run.better)
        for group in sets
        if group.means
    ]
    shown = [_picture_set(run, group, len(sets) > 1, pictures, encoding) for group in sets]
    page = Page(
        title=run.name,
        kind='Training' if run.kind == 'training' else 'Test',
        paragraphs=_notes(run, sets, chosen, why),
        facts=_facts(run),
        tables=[table for table in tables if table is not None],
        curves=_curves(run),
        encoding=_encoded(shown, encoding),
        sets=shown,
    )
    write_page(page, out)


def _counted(group: ScoredSet) -> str:
    count = len(group.pictures)
    return 'its pictures' if not count else f'{count} pictures' if count > 1 else 'one picture'


def _facts(run: Run) -> list[tuple[str, str]]:
    log = run.log
    total = log.option('train', 'total_iter')
    facts = {
        'model': log.option('model_type'),
        'network_g': log.option('network_g', 'type'),
        'network_deblur': log.option('network_deblur', 'type'),
        'begun': log.begun,
    }
    if run.kind == 'training':
        last = max([log.last_iteration, *run.iterations])
        facts['iterations'] = f'{last:,} of {int(total):,}' if str(total).isdigit() else f'{last:,}'
    else:
        weights = log.option('path', 'pretrain_network_g')
        facts['weights of G'] = Path(weights).name if weights else None
    return [(term, str(what)) for term, what in facts.items() if what]


def _notes(run: Run, sets: list[ScoredSet], chosen: int, why: str) -> list[str]:
    if run.kind == 'training' and sets:
        return [f'Scores and pictures are those of iteration {chosen:,} ({why}).']
    if not sets:
        return ['There was no validation yet.' if run.kind == 'training' else 'No scores and no pictures were kept.']
    return []


def _curves(run: Run) -> list[tuple[str, list[tuple[str, Markup]]]]:
    if run.kind == 'test':
        return []
    losses = drawn(loss_panels(run.log.losses))
    metrics = drawn(metric_panels(run.validations), first_number=len(losses))
    return [(title, panels) for title, panels in (('Metrics', metrics), ('Losses', losses)) if panels]


def _encoded(sets: list[PictureSet], encoding: Encoding) -> str:
    if not any(group.embedded or group.overview for group in sets):
        return ''
    return encoding.said + (f' --quality {LOSSLESS} embeds them without loss.' if encoding.quality < LOSSLESS else '')


def _picture_set(run: Run, group: ScoredSet, is_named: bool, count: int, encoding: Encoding) -> PictureSet:
    name = group.name if is_named else ''
    overview = read_levels(group.overview) if group.overview is not None else None
    source = None if overview is None else data_uri(overview, encoding)
    with_results = [picture for picture in group.pictures if has_results(picture)]
    if not with_results:
        said = '' if source else _why_no_pictures(run, group)
        return PictureSet(name, group.pictures, (), said, source)
    chosen, said = choose(with_results, count)
    shown = embed_all(chosen, encoding, group.name)
    sentences = [said, *_left_out(shown), *_made_smaller(shown, encoding.max_side)]
    if len(with_results) < len(group.pictures):
        sentences.append(f'{len(group.pictures) - len(with_results)} more have scores, but no saved pictures.')
    return PictureSet(name, group.pictures, shown, ' '.join(sentences), source)


def _why_no_pictures(run: Run, group: ScoredSet) -> str:
    if group.pictures and any(kind not in ('lq', 'gt') for picture in group.pictures for kind in picture.files):
        return 'The pictures that were saved are no longer where the table of scores says.'
    saved = 'at this iteration' if run.kind == 'training' else 'by this test'
    return f'No pictures were saved {saved}; val: save_img: true in the option file would give them.'


def _left_out(shown: list[EmbeddedPicture]) -> list[str]:
    counts = Counter(kind for picture in shown for kind in picture.left_out)
    named = ', '.join(f'{LABELS.get(kind, kind)} ({count})' for kind, count in counts.items())
    return [f'Left out, as their files are gone, unreadable or of another size: {named}.'] if named else []


def _made_smaller(shown: list[EmbeddedPicture], max_side: int) -> list[str]:
    count = sum(picture.scale < 1 for picture in shown)
    return [f'{count} were made smaller, to {max_side} pixels (--max-side).'] if count else []
