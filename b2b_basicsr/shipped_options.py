"""Where the option files are that ship with the package: ``options/`` in the repository, a folder in the wheel."""

from __future__ import annotations

from pathlib import Path


def shipped_option_files() -> list[Path]:
    """Return the shipped option files, sorted by name.

    Raises:
        FileNotFoundError: The installation lacks them.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / 'option_files', package.parent / 'options'):
        files = sorted(folder.glob('*.yml'))
        if files:
            return files
    raise FileNotFoundError(f'{package}: no option files beside the package; install b2b-basicsr again')
