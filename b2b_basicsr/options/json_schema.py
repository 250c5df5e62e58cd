"""The JSON schema of our option files, for editors: made of the types that options are checked against."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from b2b_basicsr.options.constructor_section import plain_text

_DRAFT = 'http://json-schema.org/draft-07/schema#'  # the newest that editors know all of
_REF = '#/$defs/{model}'


def json_schema() -> dict[str, Any]:
    """The schema. Files whose ``model_type`` is none of ours pass, whatever they say."""
    # Late, as all of torch and BasicSR comes with it.
    from b2b_basicsr.checks.section_types import (
        PICTURE_SETS,
        TRAINING_SETS,
        known_losses,
        known_metrics,
        known_networks,
    )
    from b2b_basicsr.models.option_files import OPTION_FILES

    chosen_by_type: dict[str, Mapping[str, type[BaseModel]]] = {
        'NetworkSection': known_networks(),
        'LossSection': known_losses(),
        'MetricOptions': known_metrics(),
        'TrainingSet': TRAINING_SETS,
        'PictureSet': PICTURE_SETS,
    }
    models = [*OPTION_FILES.values(), *(each for kinds in chosen_by_type.values() for each in kinds.values())]
    _, schema = models_json_schema([(each, 'validation') for each in dict.fromkeys(models)], ref_template=_REF)
    definitions: dict[str, Any] = schema['$defs']
    for name, kinds in chosen_by_type.items():
        other = definitions.get(name, definitions['DatasetSection'])
        definitions[name] = _one_of(kinds, other)
    del definitions['DatasetSection']
    for file in OPTION_FILES.values():
        _tell_datasets_apart(definitions[file.__name__])
    return {
        '$schema': _DRAFT,
        'title': 'b2b_basicsr option file',
        'description': 'Options of Blur2BlurModel, DeblurModel and KernelWizardModel. See docs/options.md.',
        'type': 'object',
        'allOf': [_if_type(name, file.__name__, 'model_type') for name, file in OPTION_FILES.items()],
        '$defs': {name: _for_editors(definitions[name]) for name in sorted(definitions)},
    }


def schema_text() -> str:
    """What ships beside the option files."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + '\n'


def _one_of(kinds: Mapping[str, type[BaseModel]], other: Mapping[str, Any]) -> dict[str, Any]:
    """A section whose ``type`` chooses among those known; any other type may have any keys."""
    return {
        'description': other.get('description', ''),
        'type': 'object',
        'required': ['type'],
        'properties': {'type': {'type': 'string', 'examples': list(kinds)}},
        'allOf': [_if_type(name, kind.__name__) for name, kind in kinds.items()],
    }


def _if_type(name: str, definition: str, key: str = 'type') -> dict[str, Any]:
    chosen = {'properties': {key: {'const': name}}, 'required': [key]}
    return {'if': chosen, 'then': {'$ref': _REF.format(model=definition)}}


def _tell_datasets_apart(file: dict[str, Any]) -> None:
    file['properties']['datasets'] = {
        'description': file['properties']['datasets']['description'],
        'type': 'object',
        'minProperties': 1,
        'properties': {'train': {'$ref': _REF.format(model='TrainingSet')}},
        'patternProperties': {'^(val|test)(_.*)?$': {'$ref': _REF.format(model='PictureSet')}},
        'additionalProperties': False,
    }


def _for_editors(schema: Any) -> Any:
    """As an older draft has it, without titles, and with descriptions in plain words."""
    if isinstance(schema, list):
        return [_for_editors(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if not (key == 'title' and isinstance(value, str))}
    kept.pop('discriminator', None)
    if 'prefixItems' in kept:
        kept = {**kept, 'items': kept.pop('prefixItems'), 'additionalItems': False}
    if isinstance(kept.get('description'), str):
        kept['description'] = plain_text(kept['description'].split('\n\n')[0])
    return {key: _for_editors(value) for key, value in kept.items()}
