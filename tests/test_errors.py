from __future__ import annotations

import pytest

from b2b_basicsr.errors import ToldElsewhereError, UserError, exit_with


def test_exit_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        exit_with(UserError('datasets: train: what is wrong,\n  and how to mend it'))
    assert end.value.code == 2
    assert capsys.readouterr().err == 'error: datasets: train: what is wrong, and how to mend it\n'


def test_what_another_process_tells_is_not_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        exit_with(ToldElsewhereError('what is wrong'))
    assert end.value.code == 2
    assert capsys.readouterr().err == ''


def test_it_is_a_value_error() -> None:
    """So that a caller who checks arguments as usual catches it."""
    assert issubclass(UserError, ValueError)
