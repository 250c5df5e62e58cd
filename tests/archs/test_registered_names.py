"""BasicSR finds every network by its name."""

from __future__ import annotations

import pytest
from basicsr.utils.registry import ARCH_REGISTRY

from b2b_basicsr import archs


@pytest.mark.parametrize(
    'name',
    [
        'KernelWizard',
        'MIMOUNet',
        'MIMOUNetPlus',
        'NAFNet',
        'NAFNetLocal',
        'PatchGANDiscriminator',
        'Restormer',
        'SpandrelNet',
        'UNet',
    ],
)
def test_registered(name: str) -> None:
    assert ARCH_REGISTRY.get(name) is getattr(archs, name)
