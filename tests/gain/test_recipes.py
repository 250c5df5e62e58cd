"""Every size and variant makes option files that their checks accept."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from b2b_basicsr.checks.section_check import check_sections
from b2b_basicsr.gain.cameras import known_cameras, target_cameras
from b2b_basicsr.gain.photo_manifest import Manifest
from b2b_basicsr.gain.plan import Plan
from b2b_basicsr.gain.recipes import DELETE, SIZES, Changes
from b2b_basicsr.gain.variants import VARIANTS, Variant
from b2b_basicsr.models.option_files import OPTION_FILES
from b2b_basicsr.shipped_options import shipped_option_files

STAGES = ('deblur', 'kernel', 'translate', 'oracle', 'score', 'score_oracle')
TEMPLATES = {file.stem: yaml.safe_load(file.read_text(encoding='utf-8')) for file in shipped_option_files()}


def _keys_of(options: Any, path: str) -> bool:
    for key in path.split(':'):
        if not isinstance(options, dict) or key not in options:
            return False
        options = options[key]
    return True


def test_every_stage_has_a_template() -> None:
    for stage in STAGES:
        assert TEMPLATES[f'gain_{stage}']['model_type'] in OPTION_FILES


@pytest.mark.parametrize('size', SIZES)
def test_sizes_change_keys_that_are_there(size: str) -> None:
    assert set(SIZES[size].changes) <= set(STAGES)
    for stage, changes in SIZES[size].changes.items():
        _holds(TEMPLATES[f'gain_{stage}'], changes, new=())


@pytest.mark.parametrize('variant', VARIANTS)
def test_variants_change_keys_that_are_there(variant: str) -> None:
    new = (
        'train:gp_opt:weight',
        'train:identity_opt',
        'train:scales',
        'datasets:train:ratio',
        'network_d:luma_highpass',
    )
    _holds(TEMPLATES['gain_translate'], VARIANTS[variant].changes, new)


def test_a_variant_may_be_trained_for_a_share_of_the_time() -> None:
    plan = Plan(Manifest('photos', 'simulated', 'cpu'), SIZES['cpu'], known_cameras(), target_cameras(None), None)
    short = Variant('half as long', length=0.5)
    whole = plan.translate('shake', 'horizontal', 'recipe', VARIANTS['recipe'], 0).options['train']
    half = plan.translate('shake', 'horizontal', 'short', short, 0).options['train']
    assert half['total_iter'] * 2 == whole['total_iter']
    assert half['scheduler']['start'] * 2 == whole['scheduler']['start']


def _holds(template: dict[str, Any], changes: Changes, new: tuple[str, ...]) -> None:
    for key, value in changes.items():
        assert _keys_of(template, key) or key in new, key
        assert value is not DELETE or _keys_of(template, key)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('variant', VARIANTS)
def test_strict_checks_accept_what_is_made(size: str, variant: str) -> None:
    plan = Plan(Manifest('photos', 'simulated', size), SIZES[size], known_cameras(), target_cameras(None), None)
    asked = ('turning', 'vertical', variant, VARIANTS[variant], 3)
    runs = [plan.translate(*asked), plan.score(*asked), plan.deblur('vertical', 3), plan.kernel('vertical', 3)]
    for run in [*runs, plan.oracle('turning', 'vertical', 3), plan.score_oracle('turning', 'vertical', 3)]:
        options = yaml.safe_load(run.text)
        check_sections(options, run.command == 'train')
        assert options['manual_seed'] == 3
        assert 'horizontal' not in str(options)
        assert 'shake' not in str(options)
    network = plan.score(*asked).options['network_g']
    assert network == plan.translate(*asked).options['network_g']
