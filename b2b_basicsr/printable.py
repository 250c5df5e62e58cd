"""Text that stands in a message whatever it holds: file names may have line breaks and escape codes in them."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""One line that any terminal can show; what it could not, is written as in Python: ``\n``, ``\x1b``."""
    text = text.encode('utf-8', 'backslashreplace').decode('utf-8')
    return ''.join(character if character.isprintable() else repr(character)[1:-1] for character in text)
