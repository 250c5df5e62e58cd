"""The documents are complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    'document', [*_ROOT.glob('*.md'), *(_ROOT / 'docs').glob('*.md')], ids=lambda path: str(path.relative_to(_ROOT))
)
def test_no_figure_is_left_to_be_filled_in(document: Path) -> None:
    lines = document.read_text(encoding='utf-8').splitlines()
    left = [f'{number}: {line}' for number, line in enumerate(lines, 1) if re.search(r'@[A-Z_0-9]+@', line)]
    assert left == []
