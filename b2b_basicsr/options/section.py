"""The typed base of every option section that is ours."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import CoreSchema, ErrorDetails
from pydantic_core.core_schema import no_info_after_validator_function
from typing_extensions import Self

from b2b_basicsr.errors import OptionError

READ_BY_YAML = 'YAML reads'
"""How messages begin to say why a number is taken for text; of what came by ``--force_yml`` they say that instead."""

_MOST_KEYS_TOLD = 6
_LONGEST_VALUE = 80

_YAMLS = {'None': '~', 'True': 'true', 'False': 'false'}

Loc = tuple[int | str, ...]


def _rising(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f'{list(bounds)} falls; write the smaller number first')
    return bounds


def _without_point(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _printable_part(text: str) -> str:
    if '/' in text or not text.isprintable():
        raise ValueError('must be part of a file name: no slashes, no line breaks')
    if len(text.encode('utf-8', 'surrogatepass')) > 100:
        raise ValueError('must be part of a file name: 100 bytes at most')
    return text


def _possible(text: str) -> str:
    if '\0' in text:
        raise ValueError('must be a path, which holds no character 0')
    return text


def _one_folder(name: str) -> str:
    if '/' in name or name in ('.', '..') or not name.isprintable() or name != name.strip():
        raise ValueError('must be the name of a folder: no slashes, no line breaks, no blanks at its ends')
    if len(name.encode('utf-8', 'surrogatepass')) > 200:
        raise ValueError('must be the name of a folder: 200 bytes at most')
    return name


Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]
Text = Annotated[str, Field(strict=True)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Decay = Annotated[Number, Field(ge=0, lt=1)]
Count = Annotated[Whole, Field(ge=0)]
PositiveCount = Annotated[Whole, Field(gt=0)]
CropSide = Annotated[Whole, Field(gt=0, le=16384)]
IterationCount = Annotated[int, Field(strict=True, ge=0), BeforeValidator(_without_point)]
"""A number of iterations, or 0; ``!!float 5e3`` will do, as in BasicSR's files."""
Iterations = Annotated[int, Field(strict=True, gt=0), BeforeValidator(_without_point)]
"""A number of iterations; ``!!float 5e3`` will do."""
PathText = Annotated[Text, Field(min_length=1), AfterValidator(_possible)]
FolderName = Annotated[
    Text,
    Field(
        min_length=1,
        json_schema_extra={'maxLength': 200, 'pattern': r'^(?!\.{1,2}$)(?!\s)[^/\x00-\x1f\x7f]*[^/\s\x00-\x1f\x7f]$'},
    ),
    AfterValidator(_one_folder),
]
"""What a folder is called that is made for it."""
FileNamePart = Annotated[
    Text,
    Field(json_schema_extra={'maxLength': 100, 'pattern': r'^[^/\x00-\x1f\x7f]*$'}),
    AfterValidator(_printable_part),
]
"""What becomes a part of a file's name."""
Range = Annotated[tuple[Number, Number], AfterValidator(_rising)]


@dataclass(frozen=True)
class bounded:  # noqa: N801  (reads as what it says of a range)
    """A check that a range lies in [``low``, ``high``], which its JSON schema says, too."""

    low: float
    high: float

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        pair = dict(handler(schema))
        pair['prefixItems'] = [{**each, 'minimum': self.low, 'maximum': self.high} for each in pair['prefixItems']]
        return pair

    def _check(self, bounds: tuple[float, float]) -> tuple[float, float]:
        if not self.low <= bounds[0] <= bounds[1] <= self.high:
            raise ValueError(f'{list(bounds)} must lie in [{self.low:g}, {self.high:g}]')
        return bounds


class OptionSection(BaseModel):
    """A section of an option file: frozen, typed, unknown keys refused.

    The docstring beneath each key is what docs/options.md and the JSON schema say of it.
    """

    model_config = ConfigDict(frozen=True, extra='forbid', use_attribute_docstrings=True)

    @classmethod
    def from_options(cls, option_key: str, options: Mapping[str, Any]) -> Self:
        """Checks a section as YAML gave it.

        Args:
            option_key: the section's whole name, e.g. ``datasets:train:synth_known_opt``, for messages.
            options: its keys and values.

        Raises:
            OptionError: naming the first key that is wrong and what is allowed, and all others that are.
        """
        if not isinstance(options, Mapping):
            raise no_section(option_key, options)
        try:
            return cls.model_validate(dict(options))
        except ValidationError as failure:
            mistakes = _by_place(failure.errors(include_url=False), options)
        places = list(mistakes)
        first = _told(cls, option_key, places[0], mistakes[places[0]])
        raise OptionError(first.option_key, first.what + _others(places[1:])) from None


def no_section(option_key: str, value: Any) -> OptionError:
    """The mistake of a value where a section should be."""
    return OptionError(option_key, f'{shown(value)} is no section; write its keys below it, as KEY: VALUE')


def unknown_key(option_key: str, key: Any, known: Iterable[str]) -> OptionError:
    """The mistake of a key that nobody reads, with the nearest one that somebody does.

    Args:
        option_key: of the section; nothing for the top level.
        key: the unknown one.
        known: those that are read there.
    """
    known = sorted(known)
    near = difflib.get_close_matches(str(key), known, n=1)
    hint = f'did you mean {near[0]}?' if near else f'known are {", ".join(known)}'
    return OptionError(joined(option_key, key), f'unknown key; {hint}')


def joined(option_key: str, *more: Any) -> str:
    """A key within a section, in one printable line."""
    parts = [str(part) for part in more]
    return ':'.join([*filter(None, [option_key]), *(part if part.isprintable() else repr(part) for part in parts)])


def shown(value: Any) -> str:
    """A value for a message: in one line, and short."""
    plain = dict(value) if isinstance(value, Mapping) else value  # BasicSR's reader makes ordered ones
    text = _YAMLS.get(str(value), repr(value)) if value is None or isinstance(value, bool) else repr(plain)
    return text if len(text) <= _LONGEST_VALUE else f'{text[: _LONGEST_VALUE - 3]}...'


def _told_keys(section: type[BaseModel]) -> list[str]:
    """The keys that a user may set: BasicSR adds others, which the section has to take."""
    fields = section.model_fields.items()
    return [key for key, field in fields if SkipJsonSchema not in map(type, field.metadata)]


def number_in_text(value: Any, whole: bool = False) -> str:
    """Why a text that looks like a number is none, and how to write it; nothing for any other value.

    Args:
        value: what YAML gave.
        whole: only a whole number will do, which ``!!float`` would not make.
    """
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return ''
    if not math.isfinite(number) or len(value) > 30 or (whole and not number.is_integer()):
        return ''
    plain = format(Decimal(repr(number)), 'f').removesuffix('.0') if 1e-9 < abs(number) < 1e15 else ''
    if whole:
        return f' ({READ_BY_YAML} {value.strip()} as text: write {int(number)})' if abs(number) < 1e15 else ''
    either = f'{plain} or ' if plain else ''
    return f' ({READ_BY_YAML} {value.strip()} as text: write {either}!!float {value.strip()})'


def _by_place(errors: Sequence[ErrorDetails], options: Mapping[str, Any]) -> dict[Loc, list[ErrorDetails]]:
    """The failures at each key. A key that may be of several types fails for each of them."""
    places: dict[Loc, list[ErrorDetails]] = {}
    for error in sorted(errors, key=lambda error: error['type'] != 'extra_forbidden'):  # why another one is missing
        places.setdefault(_place(error, options), []).append(error)
    unknown = [place for place, (first, *_) in places.items() if first['type'] == 'extra_forbidden']
    missing = [place for place, (first, *_) in places.items() if first['type'] == 'missing']
    for *within, key in unknown:  # a misspelt key is not missing as well
        beside = {str(place[-1]): place for place in missing if [*place[:-1]] == within and place in places}
        for near in difflib.get_close_matches(str(key), beside, n=1):
            del places[beside[near]]
    return places


def _place(error: ErrorDetails, options: Mapping[str, Any]) -> Loc:
    """Where a failure is in the options: without the names of types, which pydantic puts in between."""
    place: list[int | str] = []
    value: Any = options
    for depth, name in enumerate(error['loc'], start=1):
        is_entry = isinstance(value, list | tuple) and isinstance(name, int) and name < len(value)
        if is_entry or (isinstance(value, Mapping) and name in value):
            value = value[name]
        elif error['type'] != 'missing' or depth < len(error['loc']) or isinstance(name, int):
            continue
        place.append(name)
    return (*place, 'type') if error['type'].startswith('union_tag') else tuple(place)


def _others(places: Sequence[Loc]) -> str:
    if not places:
        return ''
    keys = [joined('', *place) for place in places[:_MOST_KEYS_TOLD]]
    return f'; and {len(places)} more: {", ".join(keys)}{", ..." if len(places) > _MOST_KEYS_TOLD else ""}'


def _told(section: type[BaseModel], option_key: str, place: Loc, errors: Sequence[ErrorDetails]) -> OptionError:
    """The first failure in full."""
    first = errors[0]
    key = joined(option_key, *place)
    if first['type'] == 'extra_forbidden':
        within = _section_at(section, first['loc'][:-1])
        return unknown_key(joined(option_key, *place[:-1]), place[-1], _told_keys(within))
    if first['type'] == 'missing' and not isinstance(first['loc'][-1], int):
        return OptionError(key, 'missing')
    if first['type'] == 'union_tag_not_found':
        return OptionError(key, 'missing')
    if first['type'] == 'union_tag_invalid':
        known = str(first['ctx']['expected_tags']).replace("'", '')
        return OptionError(key, f'{shown(first["ctx"]["tag"])} is unknown; known are {known}')
    if first['type'] in ('model_type', 'model_attributes_type', 'dict_type', 'mapping_type'):
        return no_section(key, first['input'])
    message = ', or '.join(dict.fromkeys(map(_expected, errors))).replace(', or must be', ', or')
    if not place or (first['type'] == 'value_error' and isinstance(first['input'], Mapping)):
        inner = re.match(r'(\w+(?::\w+)*): (.*)', message, re.DOTALL)  # what a whole section's validator found
        if inner is not None and inner[1].split(':')[0] in _section_at(section, first['loc']).model_fields:
            return OptionError(joined(key, *inner[1].split(':')), inner[2])
        return OptionError(key, message)
    return OptionError(key, f'{shown(first["input"])}: {message}{_hint(first, message)}')


def _hint(error: ErrorDetails, message: str) -> str:
    return number_in_text(error['input'], 'whole number' in message) if 'number' in message else ''


_EXPECTED = {
    'bool_type': 'must be true or false',
    'int_type': 'must be a whole number',
    'int_from_float': 'must be a whole number',
    'float_type': 'must be a number',
    'finite_number': 'must be a finite number',
    'string_type': 'must be a text',
    'string_too_short': 'must not be empty',
    'list_type': 'must be a list',
    'invalid_key': 'must be a text, as all keys: write it within quotes',
    'string_unicode': 'must be a text in Unicode',
}
_PAIR = ('tuple_type', 'too_long', 'missing')


def _expected(error: ErrorDetails) -> str:
    """What should stand there."""
    kind = error['type']
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    if kind in _PAIR and error.get('ctx', {}).get('field_type', 'Tuple') == 'Tuple':
        return 'must be two numbers, as [1, 2]'
    message = error['msg'].removeprefix('Value error, ').replace('Input should be', 'must be')
    message = message.replace('List should have', 'must have').replace(' after validation', '')
    return message[:1].lower() + message[1:]


def _section_at(section: type[BaseModel], place: Loc) -> type[BaseModel]:
    """The section that a failure's place lies in; of several types, the one that pydantic named there."""
    inner: list[type[BaseModel]] = []
    for name in place:
        field = section.model_fields.get(str(name))
        if field is not None:
            inner = list(_sections_in(field.annotation))
        named = [kind for kind in inner if 'type' in kind.model_fields and name in _types_of(kind)]
        section = next(iter(named or inner), section)
    return section


def _sections_in(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _sections_in(part)


def _types_of(section: type[BaseModel]) -> tuple[Any, ...]:
    """What a section's ``type`` may be."""
    annotation = section.model_fields['type'].annotation
    return get_args(annotation) if get_origin(annotation) is Literal else ()
