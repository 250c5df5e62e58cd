"""``b2b options``: the option files that ship."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from b2b_basicsr.errors import UserError
from b2b_basicsr.shipped_options import shipped_option_files, shipped_schema


@click.command()
@click.option('--copy', is_flag=True, help='Lay the files out in DIRECTORY instead of listing them.')
@click.option('--force', is_flag=True, help='Replace files of the same name that differ.')
@click.option('--schema', is_flag=True, help='Print the JSON schema that editors check option files against.')
@click.option('--reference', is_flag=True, help='Print every option, its type, default and meaning, as Markdown.')
@click.argument('directory', type=click.Path(file_okay=False, path_type=Path), default=Path('options'))
def options(copy: bool, force: bool, schema: bool, reference: bool, directory: Path) -> None:
    """List the shipped option files, or copy them and their JSON schema into DIRECTORY (./options)."""
    if schema or reference:
        _print_made_of_types(schema, reference)
        return
    files = shipped_option_files()
    if not copy:
        for file in files:
            click.echo(f'{file.name:28} {_title(file)}')
        click.echo('Lay them out with: b2b options --copy')
        return
    files.append(shipped_schema())
    changed = [
        file.name
        for file in files
        if (directory / file.name).exists() and (directory / file.name).read_bytes() != file.read_bytes()
    ]
    if changed and not force:
        raise UserError(f'{directory}: {", ".join(changed)} is there and differs; give another folder, or --force')
    directory.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, directory / file.name)
        click.echo(directory / file.name)


def _print_made_of_types(schema: bool, reference: bool) -> None:
    if schema and reference:
        raise UserError('--schema and --reference: give one of them')
    # Late, as all of torch and BasicSR comes with it.
    import basicsr  # noqa: F401 (whose import registers ours)

    from b2b_basicsr.options.json_schema import schema_text
    from b2b_basicsr.options.reference_page import reference_page

    click.echo(schema_text() if schema else reference_page(), nl=False)


def _title(file: Path) -> str:
    """The file's first comment."""
    return file.read_text(encoding='utf-8').splitlines()[0].lstrip('# ')
