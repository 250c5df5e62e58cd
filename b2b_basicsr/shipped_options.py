"""Where the option files are that ship with the package: ``options/`` in the repository, a folder in the wheel."""

from __future__ import annotations

from pathlib import Path

SCHEMA_NAME = 'b2b_options.schema.json'
"""What editors check option files against lies beside them under this name."""


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


def shipped_schema() -> Path:
    """Return the JSON schema of option files.

    Raises:
        FileNotFoundError: The installation lacks it.
    """
    file = shipped_option_files()[0].with_name(SCHEMA_NAME)
    if not file.is_file():
        raise FileNotFoundError(f'{file}: no schema beside the option files; install b2b-basicsr again')
    return file
