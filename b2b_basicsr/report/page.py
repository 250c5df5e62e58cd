"""The page itself: one HTML file that needs nothing beside it and asks no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from b2b_basicsr import __version__
from b2b_basicsr.prepare.write_errors import cannot_write
from b2b_basicsr.records.picture_scores import ScoredPicture
from b2b_basicsr.records.score_names import is_gain
from b2b_basicsr.report.embedded_pictures import DESCRIPTIONS, LABELS, EmbeddedPicture
from b2b_basicsr.report.score_table import Table, shown
from b2b_basicsr.whole_file import whole_file

_OPEN_ROWS = 24


@dataclass(frozen=True)
class PictureSet:
    """The pictures of one data set.

    Args:
        name: of the set; empty if there is but one, and nothing to tell it from.
        scored: every picture with its values, for the table.
        embedded: those that are shown.
        said: how many of how many are shown, or why none are.
        overview: a data URI of a picture that shows some of them side by side.
    """

    name: str
    scored: Sequence[ScoredPicture] = ()
    embedded: Sequence[EmbeddedPicture] = ()
    said: str = ''
    overview: str | None = None

    @cached_property
    def metrics(self) -> list[str]:
        """The columns of the table; gains first, where a phone shows them without scrolling."""
        found = dict.fromkeys(metric for picture in self.scored for metric in picture.values)
        return sorted(found, key=lambda metric: not is_gain(metric))

    @cached_property
    def places(self) -> dict[str, int]:
        """Names of the pictures that are shown -> place among them."""
        return {shown.picture.name: place for place, shown in enumerate(self.embedded)}


@dataclass(frozen=True)
class Page:
    """What a page holds, from top to bottom.

    Args:
        title: heading, and the window's title.
        kind: one line above the title, what it is.
        paragraphs: of text.
        facts: (term, what) pairs.
        tables: of means.
        highlight: one line below the tables, in large letters.
        encoding: a sentence on how the pictures were made light.
        curves: (heading, [(title, drawing)]).
        sets: pictures and their scores.
    """

    title: str
    kind: str
    paragraphs: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    tables: Sequence[Table] = ()
    highlight: str = ''
    encoding: str = ''
    curves: Sequence[tuple[str, Sequence[tuple[str, Markup]]]] = ()
    sets: Sequence[PictureSet] = field(default_factory=list)

    @cached_property
    def kinds(self) -> list[str]:
        """Every kind of picture on the page, from the blurry to the sharp one."""
        found = {layer.kind for group in self.sets for picture in group.embedded for layer in picture.layers}
        known = [kind for kind in LABELS if kind in found]
        return [*known, *sorted(found.difference(known))]

    @cached_property
    def first_shown(self) -> tuple[str, str]:
        """The kinds left and right of the divider at first."""
        made = [kind for kind in ('direct', 'restored', 'reblurred', 'translated') if kind in self.kinds]
        given = [kind for kind in self.kinds if kind not in made]
        if made[:2] == ['direct', 'restored']:
            return 'direct', 'restored'
        return ([*given, *made] or [''])[0], ([*made, *reversed(given)] or [''])[0]


def render(page: Page) -> str:
    """The page as HTML. Text is escaped; the policy in its head lets it load nothing, and run its own script alone."""
    environment = Environment(
        loader=PackageLoader('b2b_basicsr.report'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    assert environment.loader is not None
    style, script = (environment.loader.get_source(environment, name)[0] for name in ('page.css', 'page.js'))
    digest = base64.b64encode(hashlib.sha256(script.encode('utf-8')).digest()).decode('ascii')
    return environment.get_template('page.html').render(
        page=page,
        style=Markup(style),
        script=Markup(script),
        script_hash=f'sha256-{digest}',
        shown=shown,
        labels=LABELS,
        descriptions={kind: DESCRIPTIONS[kind] for kind in page.kinds if kind in DESCRIPTIONS},
        open_rows=_OPEN_ROWS,
        version=__version__,
    )


def write_page(page: Page, path: Path) -> None:
    """Writes the page whole or not at all, into a folder that is there.

    Raises:
        UserError: if it cannot be written.
    """
    text = render(page)
    try:
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding='utf-8', errors='backslashreplace')
    except OSError as cause:
        raise cannot_write(path, cause) from cause
