"""The JSON schema and docs/options.md say what the types of options say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from b2b_basicsr.checks.section_check import check_sections
from b2b_basicsr.checks.section_types import (
    PICTURE_SETS,
    TRAINING_SETS,
    known_losses,
    known_metrics,
    known_networks,
)
from b2b_basicsr.commands.cli import b2b
from b2b_basicsr.errors import OptionError
from b2b_basicsr.models.option_files import OPTION_FILES
from b2b_basicsr.options.json_schema import json_schema, schema_text
from b2b_basicsr.options.option_file import read_option_file
from b2b_basicsr.options.reference_page import reference_page
from b2b_basicsr.options.section import OptionSection, _sections_in
from b2b_basicsr.shipped_options import shipped_option_files, shipped_schema

Options = dict[str, Any]
REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_schema_that_ships_is_made_of_the_types_as_they_are() -> None:
    assert shipped_schema().read_text(encoding='utf-8') == schema_text(), (
        'stale: b2b options --schema > options/b2b_options.schema.json'
    )


def test_the_page_is_made_of_the_types_as_they_are() -> None:
    assert (REPOSITORY / 'docs' / 'options.md').read_text(encoding='utf-8') == reference_page(), (
        'stale: b2b options --reference > docs/options.md'
    )


@pytest.mark.parametrize(('flag', 'made'), [('--schema', schema_text), ('--reference', reference_page)])
def test_the_command_prints_them(flag: str, made: Callable[[], str]) -> None:
    result = CliRunner().invoke(b2b, ['options', flag])
    assert result.exit_code == 0
    assert result.output == made()


def _all_sections() -> Iterator[type[BaseModel]]:
    waiting: list[type[BaseModel]] = [*OPTION_FILES.values(), *TRAINING_SETS.values(), *PICTURE_SETS.values()]
    for known in (known_networks(), known_losses(), known_metrics()):
        waiting += known.values()
    seen: set[type[BaseModel]] = set()
    while waiting:
        section = waiting.pop()
        if section in seen:
            continue
        seen.add(section)
        yield section
        for field in section.model_fields.values():
            waiting += _sections_in(field.annotation)


def test_every_key_is_described_and_typed() -> None:
    sections = list(_all_sections())
    assert {'CameraShake', 'OptimizerOptions', 'Restormer', 'SpandrelNet', 'calculate_lpips', 'PatchStage'} <= {
        section.__name__ for section in sections
    }
    missing = [
        f'{section.__module__}.{section.__name__}.{name}'
        for section in sections
        for name, field in section.model_fields.items()
        if not field.description
    ]
    assert not missing, "write a docstring beneath the key, or an entry in the constructor's Args"
    assert all(issubclass(section, OptionSection) for section in sections)
    page = reference_page()
    assert 'section, `~`' not in page
    definitions = json_schema()['$defs']
    keys = {name for section in sections for name in definitions.get(section.__name__, {}).get('properties', {})}
    assert [name for name in sorted(keys) if f'| `{name}` |' not in page] == []


@pytest.fixture(scope='module')
def validator() -> Any:
    schema = json.loads(shipped_schema().read_text(encoding='utf-8'))
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def _content(name: str) -> Options:
    (file,) = (file for file in shipped_option_files() if file.stem == name)
    content: Options = json.loads(json.dumps(read_option_file(file)))
    return content


@pytest.mark.parametrize('file', shipped_option_files(), ids=lambda file: str(file.stem))
def test_shipped_files_keep_to_the_schema_and_to_the_types(validator: Any, file: Path) -> None:
    assert 'yaml-language-server: $schema=b2b_options.schema.json' in file.read_text(encoding='utf-8')
    content = _content(file.stem)
    assert [error.message for error in validator.iter_errors(content)] == []
    check_sections(content, 'train' in content)


WRONG: list[tuple[str, Any]] = [
    ('train:optim_g:fused', 'perhaps'),
    ('train:optim_g:lr', '1e-4'),
    ('train:optim_g:lrr', 1),
    ('train:optim_g:type', 'SGD'),
    ('train:optim_g:betas', [0.9]),
    ('train:scheduler:start', -1),
    ('name', '..'),
    ('name', ' a'),
    ('name', 'a/b'),
    ('val:suffix', '../x'),
    ('val:suffix', 'x' * 101),
    ('train:scheduler:type', 'Linear'),
    ('train:emma_decay', 0.9),
    ('train:ema_decay', 1),
    ('train:gp_opt:weigth', 1),
    ('train:gan_opt:gan_type', 'hinges'),
    ('train:perceptual_opt:num_feat', 0),
    ('train:pixel_opt:blok', 8),
    ('val:val_freq', 0),
    ('val:metrics:psnr:crop_border', -1),
    ('val:metrics:psnr:better', 'bigger'),
    ('val:tille', 64),
    ('logger:print_freq', True),
    ('logger:wandb:projects', 'x'),
    ('path:strict_load_g', 'yes'),
    ('path:pretrain_netwrok_g', 'x'),
    ('dist_params:backend', 'mpi'),
    ('dist_params:port', 0),
    ('datasets:train:gt_size', 97),
    ('datasets:train:dataroot_blurr', 'x'),
    ('datasets:train:io_backend:type', 'tape'),
    ('datasets:train:synth_known_opt:length', [3, 300]),
    ('datasets:train:augment_opt:gamma', 1),
    ('datasets:val:dataroot_lq', ''),
    ('network_g:widht', 4),
    ('network_g:width', 0),
    ('network_g:enc_blk_nums', 3),
    ('network_d:norm', 'batch'),
    ('name', 'a/b'),
    ('num_gpu', 'all'),
    ('scale', 2),
]


@pytest.mark.parametrize(('key', 'value'), WRONG, ids=[f'{key}={value}' for key, value in WRONG])
def test_both_refuse_what_is_wrong(validator: Any, key: str, value: Any) -> None:
    content = deepcopy(_content('b2b_demo'))
    content['path']['strict_load_g'] = True
    *sections, last = key.split(':')
    section = content
    for name in sections:
        if section.get(name) is None:
            section[name] = {'weight': 1} if name == 'gp_opt' else {}
        section = section[name]
    section[last] = value
    assert list(validator.iter_errors(content))
    with pytest.raises(OptionError) as caught:
        check_sections(content, True)
    assert caught.value.option_key.startswith(key)


def test_files_of_others_pass_the_schema(validator: Any) -> None:
    assert not list(validator.iter_errors({'model_type': 'SRModel', 'train': {'emma_decay': 'x'}}))


def test_no_stages_are_none_in_the_schema(validator: Any) -> None:
    content = deepcopy(_content('deblur_gopro_nafnet'))
    content['train'] |= {'progressive_patches': None, 'total_iter': 2e3}
    assert not list(validator.iter_errors(content))
    check_sections(content, True)
