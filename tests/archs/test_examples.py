"""The examples in the networks' docstrings run as they stand, and BasicSR finds every network by its name."""

from __future__ import annotations

import doctest
import sys

import pytest
from basicsr.utils.registry import ARCH_REGISTRY

from b2b_basicsr import archs

NETWORKS = ('MIMOUNet', 'MIMOUNetPlus', 'NAFNet', 'NAFNetLocal', 'PatchGANDiscriminator')


@pytest.mark.parametrize('name', NETWORKS)
def test_docstring_example(name: str) -> None:
    network = getattr(archs, name)
    module = sys.modules[network.__module__]
    (example,) = (found for found in doctest.DocTestFinder().find(network, name, module) if found.name == name)
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


@pytest.mark.parametrize('name', NETWORKS)
def test_registered(name: str) -> None:
    assert ARCH_REGISTRY.get(name) is getattr(archs, name)
