from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from b2b_basicsr.errors import OptionError
from b2b_basicsr.options.constructor_section import argument_descriptions, constructor_section


class Built:
    """Something that is built. And more.

    Args:
        width: Channels, over
            two lines.
        blocks: See :class:`Other`.

    Raises:
        UserError: never.
    """

    def __init__(
        self,
        width: Annotated[int, Field(ge=1)],
        blocks: Sequence[int] = (1, 2),
        norm: Literal['a', 'b'] | None = 'a',
        rate: float = 0.5,
        **others: Any,
    ) -> None: ...


def test_section_of_a_constructor() -> None:
    section = constructor_section(Built)
    built: Any = section.from_options('network_x', {'type': 'Built', 'width': 3, 'blocks': [4], 'norm': None})
    assert (built.width, built.blocks, built.norm, built.rate) == (3, [4], None, 0.5)
    assert {name: field.description for name, field in section.model_fields.items()} == {
        'type': '`Built`',
        'width': 'Channels, over two lines.',
        'blocks': 'See `Other`.',
        'norm': None,
        'rate': None,
    }


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({}, 'network_x:width: missing'),
        ({'width': 0}, 'network_x:width: 0: must be greater than or equal to 1'),
        ({'width': True}, 'network_x:width: true: must be a whole number'),
        ({'width': 1, 'widht': 1}, 'network_x:widht: unknown key; did you mean width?'),
        ({'width': 1, 'blocks': [1.5]}, 'network_x:blocks:0: 1.5: must be a whole number'),
        ({'width': 1, 'norm': 'c'}, "network_x:norm: 'c': must be 'a' or 'b'"),
        ({'width': 1, 'rate': '1e-1'}, "network_x:rate: '1e-1': must be a number (YAML reads 1e-1 as text"),
    ],
)
def test_wrong_keys_and_values(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        constructor_section(Built).from_options('network_x', {'type': 'Built', **options})
    assert str(caught.value).startswith(message)


def test_arguments_without_a_hint_are_our_own_mistake() -> None:
    def unhinted(width): ...  # type: ignore[no-untyped-def]

    with pytest.raises(TypeError, match='width has no type hint'):
        constructor_section(unhinted)


def test_no_docstring_describes_nothing() -> None:
    assert argument_descriptions(lambda width: None) == {}
