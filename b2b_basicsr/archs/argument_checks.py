"""Checks of the networks' constructor arguments: a slip in an option file becomes one clear line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from b2b_basicsr.errors import UserError

# Ranges of constructor arguments, as option files and their JSON schema have them. The upper ends keep a slip of the
# finger from building for hours.
Channels = Annotated[int, Field(ge=1, le=65536)]
EvenChannels = Annotated[int, Field(ge=2, le=65536, multiple_of=2)]
Blocks = Annotated[int, Field(ge=0, le=1000)]
AtLeastOneBlock = Annotated[int, Field(ge=1, le=1000)]


def check_integer(network: str, option: str, value: Any, minimum: int) -> int:
    """Return ``value`` if it is an integer of at least ``minimum``.

    Args:
        network: Name of the network, for the message.
        option: Name of the constructor argument, which is also the key in the option file's ``network_*`` section.
        value: What the user gave.
        minimum: The smallest value that makes sense.

    Raises:
        UserError: ``value`` is no integer or too small.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise UserError(f'{network}: {option} must be an integer of at least {minimum}, but is {value!r}')
    return value


def check_integers(network: str, option: str, values: Any, minimum: int) -> list[int]:
    """Return ``values`` as a list if it is a sequence of integers of at least ``minimum``.

    Raises:
        UserError: ``values`` is no sequence, or an element is no integer or too small.
    """
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise UserError(f'{network}: {option} must be a list of integers, but is {values!r}')
    return [check_integer(network, f'{option}[{index}]', value, minimum) for index, value in enumerate(values)]
