from __future__ import annotations

from pathlib import Path

import pytest

from b2b_basicsr.errors import OptionError, UserError
from b2b_basicsr.options.option_file import read_option_file
from b2b_basicsr.options.option_lines import OptionLines, option_errors_placed

FILE = """name: mine
train:
  optim_g:
    lr: 1e-4
    betas: [0.9,
            1.5]
  stages:
    - {size: 3}
    - {size: 4}
odd:
  "a:b": 1
  "two\\nlines": 2
"""

BOMB = 'a: &a [x,x,x,x,x,x,x,x,x,x]\n' + ''.join(
    f'{name}: &{name} [{",".join([f"*{before}"] * 10)}]\n' for before, name in zip('abcdef', 'bcdefg', strict=True)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / 'mine.yml'
    path.write_text(FILE)
    return path


@pytest.mark.parametrize(
    ('key', 'line'),
    [
        ('name', 1),
        ('train:optim_g:lr', 4),
        ('train:optim_g:betas:1', 6),
        ('train:stages:1:size', 9),
        ('train:scheduler:start', 2),
        ('odd:a:b', 11),
        (r"odd:'two\nlines'", 12),
        ('val:best', None),
    ],
)
def test_line_of_a_key_or_of_the_section_that_lacks_it(path: Path, key: str, line: int | None) -> None:
    assert OptionLines(path).line(key) == line


@pytest.mark.parametrize(
    ('error', 'message'),
    [
        (OptionError('train:optim_g:lr', 'is text'), ':4: train:optim_g:lr: is text'),
        (UserError('train:optim_g:lr: is text'), ':4: train:optim_g:lr: is text'),
        (UserError('odd: is odd'), ':10: odd: is odd'),
        (UserError('network_g: missing'), ': network_g: missing'),
        (OptionError('network_g', 'missing'), ': network_g: missing'),
    ],
)
def test_errors_about_options_get_their_place_once(path: Path, error: UserError, message: str) -> None:
    lines = OptionLines(path)
    placed = lines.placed(error)
    assert str(placed) == f'{path}{message}'
    assert lines.placed(placed) is placed


@pytest.mark.parametrize('message', ['--launcher slurm: no srun', 'some/file.png: cannot be read', 'a word'])
def test_other_errors_stay_as_they_are(path: Path, message: str) -> None:
    error = UserError(message)
    assert OptionLines(path).placed(error) is error


def test_what_was_forced_is_placed_there(path: Path) -> None:
    forced = ['name=other', 'train:optim_g:lr=5e-4']
    error = OptionError('train:optim_g:lr', "'5e-4': must be a number (YAML reads 5e-4 as text: write 0.0005)")
    with pytest.raises(UserError) as caught, option_errors_placed(path, forced):
        raise error
    assert str(caught.value) == (
        "--force_yml train:optim_g:lr=5e-4: train:optim_g:lr: '5e-4': must be a number (--force_yml reads 5e-4 as "
        'text: write 0.0005)'
    )


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a: 1\nb: 2\na: 3\n', ':3: a: is in line 1, too'),
        ('a:\n  x: {k: 1,\n    k: 2}\n', ':3: a:x:k: is in line 2, too'),
        ('a: [{k: 1, k: 2}]\n', ':1: a:0:k: is in line 1, too'),
    ],
)
def test_a_key_that_stands_twice(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / 'twice.yml'
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        OptionLines(path).refuse_duplicates()
    assert str(caught.value).startswith(f'{path}{message}')


def test_a_section_that_stands_twice_by_an_alias_is_right(tmp_path: Path) -> None:
    path = tmp_path / 'alias.yml'
    path.write_text('a: &a {k: 1}\nb: *a\nc: {k: 1}\n')
    OptionLines(path).refuse_duplicates()


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a: !!python/object/apply:os.mkdir [made]', ":1: the tag 'tag:yaml.org,2002:python/object/app"),
        ('a: ' + '[' * 100_000, ':1: more than 50 sections within each other'),
        (BOMB, ':5: more than 100000 values'),
        ('1: x', ': 1: must be a text, as all keys'),
        ('a: !!float x', ': the option file holds a value that is none: could not convert'),
    ],
)
def test_hostile_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'hostile.yml'
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_option_file(path)
    assert str(caught.value).startswith(f'{path}{message}')
    assert list(tmp_path.iterdir()) == [path]
