"""The examples in docstrings run as they stand."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import b2b_basicsr

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(b2b_basicsr.__path__, 'b2b_basicsr.')
    if not module.name.endswith('__main__')
)


@pytest.mark.parametrize('name', MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize(
    'name',
    [
        'archs.mimounet_arch',
        'archs.nafnet_arch',
        'archs.nafnet_local_arch',
        'archs.patchgan_arch',
        'archs.spandrel_arch',
        'data.camera_shake',
        'losses.gradient_penalty',
        'losses.random_feature_loss',
        'mmengine_registries',
        'restore.network_file',
        'restore.pipeline',
        'tiling',
    ],
)
def test_what_users_call_has_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f'b2b_basicsr.{name}')).attempted > 0
