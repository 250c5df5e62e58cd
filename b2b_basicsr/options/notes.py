"""What is to be said of an option file when there is a log to say it in."""

from __future__ import annotations

_notes: list[str] = []


def note(text: str) -> None:
    """Keeps a line for the log; once, however often it is noted."""
    if text not in _notes:
        _notes.append(text)


def taken_notes() -> list[str]:
    """The lines noted so far, which are forgotten here."""
    taken = list(_notes)
    _notes.clear()
    return taken
