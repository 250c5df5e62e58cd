"""The typed base of every option section that is ours."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import Self

from b2b_basicsr.errors import UserError


def _rising(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f'{list(bounds)} falls; write the smaller number first')
    return bounds


Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]
Range = Annotated[tuple[Number, Number], AfterValidator(_rising)]


def bounded(low: float, high: float) -> AfterValidator:
    """A check that a range lies in [``low``, ``high``]."""

    def check(bounds: tuple[float, float]) -> tuple[float, float]:
        if not low <= bounds[0] <= bounds[1] <= high:
            raise ValueError(f'{list(bounds)} must lie in [{low:g}, {high:g}]')
        return bounds

    return AfterValidator(check)


class OptionSection(BaseModel):
    """A section of an option file: frozen, typed, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra='forbid')

    @classmethod
    def from_options(cls, option_key: str, options: Mapping[str, Any]) -> Self:
        """Checks a section as YAML gave it.

        Args:
            option_key: the section's whole name, e.g. ``datasets:train:synth_known_opt``, for messages.
            options: its keys and values.

        Raises:
            UserError: naming the first key that is wrong, and what is allowed.
        """
        if not isinstance(options, Mapping):
            raise UserError(f'{option_key}: {options!r} is no section; write its keys below it')
        try:
            return cls(**options)
        except ValidationError as failure:
            raise UserError(cls._one_line(option_key, failure)) from None

    @classmethod
    def _one_line(cls, option_key: str, failure: ValidationError) -> str:
        first = failure.errors(include_url=False)[0]
        key = ':'.join([option_key, *map(str, first['loc'])])
        if first['type'] == 'extra_forbidden':
            known = sorted(cls._section_at(first['loc'][:-1]).model_fields)
            near = difflib.get_close_matches(str(first['loc'][-1]), known, n=1)
            hint = f'did you mean {near[0]}?' if near else f'known are {", ".join(known)}'
            return f'{key}: unknown key; {hint}'
        if first['type'] == 'missing':
            return f'{key}: missing'
        message = first['msg'].removeprefix('Value error, ')
        if first['type'] == 'tuple_type':
            message = 'must be two numbers, as [1, 2]'
        of_a_section = first['type'] == 'value_error' and isinstance(first['input'], Mapping)
        if not first['loc'] or of_a_section:
            return f'{key}: {message}'
        if isinstance(first['input'], str) and 'number' in message:
            message += ' (YAML reads 1e-4 as text: write 0.0001 or !!float 1e-4)'
        return f'{key}: {first["input"]!r}: {message[0].lower()}{message[1:]}'

    @classmethod
    def _section_at(cls, place: tuple[int | str, ...]) -> type[BaseModel]:
        """The section within this one that a failure's place lies in."""
        section: type[BaseModel] = cls
        for name in place:
            field = section.model_fields.get(str(name))
            kinds = [] if field is None else [field.annotation, *get_args(field.annotation)]
            inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
            section = inner[0] if inner else section
        return section
