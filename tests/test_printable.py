"""Names in messages."""

from __future__ import annotations

import pytest

from b2b_basicsr.errors import UserError, exit_with
from b2b_basicsr.printable import printable


@pytest.mark.parametrize(
    ('text', 'shown'),
    [
        ('a b\u00e9\u96ea.png', 'a b\u00e9\u96ea.png'),
        ('a\nb.png', 'a\\nb.png'),
        ('\x1b[31mred', '\\x1b[31mred'),
        ('b\udcfc.png', 'b\\udcfc.png'),
        ('right\u202eleft', 'right\\u202eleft'),
    ],
)
def test_what_a_terminal_cannot_show_is_written_as_in_python(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def test_errors_reach_the_terminal_without_escape_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        exit_with(UserError('\x1b]0;title\x07 is no\n    folder'))
    assert capsys.readouterr().err == 'error: \\x1b]0;title\\x07 is no folder\n'
