from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from b2b_basicsr.errors import OptionError
from b2b_basicsr.options.section import (
    Flag,
    Iterations,
    OptionSection,
    PathText,
    Positive,
    Range,
    Whole,
    bounded,
    number_in_text,
)


class Inner(OptionSection):
    size: Whole
    """A size."""


class A(OptionSection):
    type: Literal['A']
    """A."""
    start: Whole
    """Start."""


class B(OptionSection):
    type: Literal['B']
    """B."""
    stop: Whole
    """Stop."""


class Section(OptionSection):
    rate: Positive = 1
    """A rate."""
    flag: Flag = False
    """A flag."""
    path: PathText | None = None
    """A path."""
    every: Iterations = 10
    """Iterations."""
    many: list[Inner] = Field(default_factory=list)
    """Several."""
    named: dict[str, Inner] | None = None
    """By name."""
    bounds: Annotated[Range, bounded(0, 5)] = (0, 1)
    """A range."""
    kind: Annotated[A | B, Field(discriminator='type')] | None = None
    """One of two."""
    device: Literal['auto'] | Whole = 'auto'
    """A device."""
    hidden: SkipJsonSchema[Any] = None
    """Not for users."""


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'rat': 1}, 's:rat: unknown key; did you mean rate?'),
        ({'zzz': 1}, 's:zzz: unknown key; known are bounds, device, every, flag, kind, many, named, path, rate'),
        ({'rate': '1e-4'}, "s:rate: '1e-4': must be a number (YAML reads 1e-4 as text: write 0.0001 or !!float 1e-4)"),
        ({'rate': 'fast'}, "s:rate: 'fast': must be a number"),
        ({'rate': 0}, 's:rate: 0: must be greater than 0'),
        ({'rate': float('nan')}, 's:rate: nan: must be a finite number'),
        ({'rate': True}, 's:rate: true: must be a number'),
        ({'flag': 'perhaps'}, "s:flag: 'perhaps': must be true or false"),
        ({'flag': None}, 's:flag: ~: must be true or false'),
        ({'path': ''}, "s:path: '': must not be empty"),
        ({'path': 3}, 's:path: 3: must be a text'),
        ({'every': 2.5}, 's:every: 2.5: must be a whole number'),
        ({'every': '2e1'}, "s:every: '2e1': must be a whole number (YAML reads 2e1 as text: write 20)"),
        ({'every': '2.5e0'}, "s:every: '2.5e0': must be a whole number"),
        ({'every': '1e20'}, "s:every: '1e20': must be a whole number"),
        ({'hiden': 1}, 's:hiden: unknown key; known are bounds, device, every, flag, kind, many, named, path, rate'),
        ({'many': [{'siez': 1}]}, 's:many:0:siez: unknown key; did you mean size?'),
        ({'many': [3]}, 's:many:0: 3 is no section; write its keys below it, as KEY: VALUE'),
        ({'named': {'x': {'size': 'y'}}}, "s:named:x:size: 'y': must be a whole number"),
        ({'named': {'x\ny': {}}}, r"s:named:'x\ny':size: missing"),
        ({'bounds': [1]}, 's:bounds: [1]: must be two numbers, as [1, 2]'),
        ({'bounds': [1, 2, 3]}, 's:bounds: [1, 2, 3]: must be two numbers, as [1, 2]'),
        ({'bounds': [2, 1]}, 's:bounds: [2, 1]: [2.0, 1.0] falls; write the smaller number first'),
        ({'bounds': [2, 9]}, 's:bounds: [2, 9]: [2.0, 9.0] must lie in [0, 5]'),
        ({'kind': {'type': 'C'}}, "s:kind:type: 'C' is unknown; known are A, B"),
        ({'kind': {}}, 's:kind:type: missing'),
        ({'kind': {'type': 'B', 'stopp': 1}}, 's:kind:stopp: unknown key; did you mean stop?'),
        ({'kind': {'type': 'A', 'strat': 1}}, 's:kind:strat: unknown key; did you mean start?'),
        ({'device': 'x'}, "s:device: 'x': must be 'auto', or a whole number"),
        ({1: 2}, "s:1: 1: must be a text, as all keys: write it within quotes"),
        ({'rate': 'x' * 500}, "s:rate: '" + 'x' * 76 + '...: must be a number'),
    ],
)  # fmt: skip
def test_mistakes(options: dict[Any, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        Section.from_options('s', options)
    assert str(caught.value) == message
    assert caught.value.option_key == re.sub(r': .*', '', message)


def test_whole_floats_are_numbers_of_iterations() -> None:
    every = Section.from_options('s', {'every': 2e3}).every
    assert every == 2000
    assert type(every) is int


def test_all_that_is_wrong_is_named_and_not_more_than_a_line_holds() -> None:
    wrong = {'rate': 0, 'flag': 0, 'path': 0, 'every': 0, 'many': 0, 'named': 0, 'bounds': 0, 'kind': 0}
    with pytest.raises(OptionError) as caught:
        Section.from_options('s', wrong)
    assert str(caught.value) == (
        's:rate: 0: must be greater than 0; and 7 more: flag, path, every, many, named, bounds, ...'
    )


@pytest.mark.parametrize(
    ('text', 'plain'), [('5e-4', '0.0005'), ('1e3', '1000'), (' 2.5 ', '2.5'), ('1e-7', '0.0000001')]
)
def test_numbers_that_are_text(text: str, plain: str) -> None:
    assert f'write {plain} or !!float {text.strip()}' in number_in_text(text)


@pytest.mark.parametrize('value', ['x', '', 'nan', '1e999', None, 3, '1' * 31])
def test_what_is_no_number_in_text(value: Any) -> None:
    assert number_in_text(value) == ''
