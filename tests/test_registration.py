from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import basicsr  # noqa: F401
import pytest
from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY

from b2b_basicsr.registration import PACKAGES, is_our_object, is_ours, register

REPOSITORY = Path(__file__).resolve().parents[1]


def run(code: str) -> str:
    """Run code in a fresh interpreter, its environment's hook off; return its standard output."""
    environment = {**os.environ, 'B2B_BASICSR_AUTOLOAD': '0', 'PYTHONPATH': str(REPOSITORY), 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        [sys.executable, '-c', code], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# What basicsr needs to be imported without our mends.
BARE_BASICSR = """
import sys, torchvision.transforms._functional_tensor as functional_tensor
sys.modules['torchvision.transforms.functional_tensor'] = functional_tensor
import basicsr
from basicsr.utils.registry import ARCH_REGISTRY
"""


@pytest.mark.parametrize(
    ('registry', 'name'),
    [
        (ARCH_REGISTRY, 'MIMOUNet'),
        (ARCH_REGISTRY, 'MIMOUNetPlus'),
        (ARCH_REGISTRY, 'PatchGANDiscriminator'),
        (ARCH_REGISTRY, 'NAFNet_basicsr'),
        (ARCH_REGISTRY, 'SpandrelNet'),
        (LOSS_REGISTRY, 'LPIPSLoss'),
        (METRIC_REGISTRY, 'calculate_lpips'),
        (DATASET_REGISTRY, 'UnpairedBlurDataset'),
        (MODEL_REGISTRY, 'Blur2BlurModel'),
    ],
)
def test_import_basicsr_is_enough(registry: object, name: str) -> None:
    assert name in registry  # type: ignore[operator]
    assert is_ours(registry, name)


def test_registering_again_does_nothing() -> None:
    before = dict(iter(ARCH_REGISTRY))
    register()
    assert dict(iter(ARCH_REGISTRY)) == before


@pytest.fixture
def host_nafnet() -> Iterator[type]:
    """A host's own network of a name that we bring too, registered after ours."""

    class NAFNet:
        pass

    ARCH_REGISTRY.register(NAFNet)
    yield NAFNet
    del ARCH_REGISTRY._obj_map['NAFNet']


def test_a_host_network_registered_later_wins(host_nafnet: type) -> None:
    assert ARCH_REGISTRY.get('NAFNet') is host_nafnet
    assert not is_ours(ARCH_REGISTRY, 'NAFNet')
    assert is_our_object(ARCH_REGISTRY.get('NAFNet_basicsr'))


def test_without_one_ours_is_found_by_the_plain_name() -> None:
    assert is_ours(ARCH_REGISTRY, 'NAFNet')
    assert is_our_object(ARCH_REGISTRY.get('NAFNet'))


def test_names_taken_before_us_and_a_repeated_import() -> None:
    output = run(
        BARE_BASICSR
        + """
import logging
said = []
handler = logging.Handler()
handler.emit = lambda record: said.append(record.getMessage())
logging.getLogger('b2b_basicsr').addHandler(handler)
class NAFNet: pass
class MIMOUNet: pass
ARCH_REGISTRY.register(NAFNet)
ARCH_REGISTRY.register(MIMOUNet)
original = type(ARCH_REGISTRY)._do_register
import b2b_basicsr
from b2b_basicsr import registration
from b2b_basicsr.registration import is_our_object
assert ARCH_REGISTRY.get('NAFNet') is NAFNet and ARCH_REGISTRY.get('MIMOUNet') is MIMOUNet
assert is_our_object(ARCH_REGISTRY.get('NAFNet_basicsr')) and is_our_object(ARCH_REGISTRY.get('MIMOUNet_b2b'))
assert is_our_object(ARCH_REGISTRY.get('MIMOUNetPlus'))
assert type(ARCH_REGISTRY)._do_register is original
try:
    ARCH_REGISTRY.register(MIMOUNet)
except AssertionError:
    print('as ever')
print(*said, sep='\\n')

# As after a registration that failed half-way: our modules are executed again.
first = ARCH_REGISTRY.get('MIMOUNetPlus')
del ARCH_REGISTRY._obj_map['MIMOUNet'], ARCH_REGISTRY._obj_map['MIMOUNet_b2b']
for name in [name for name in sys.modules if name.startswith('b2b_basicsr.archs')]:
    del sys.modules[name]
registration._state['done'] = False
registration.register()
assert is_our_object(ARCH_REGISTRY.get('MIMOUNet')) and ARCH_REGISTRY.get('MIMOUNetPlus') is not first
assert 'MIMOUNetPlus_b2b' not in ARCH_REGISTRY and len(said) == 1
"""
    )
    as_ever, *said = output.splitlines()
    assert as_ever == 'as ever'
    assert len(said) == 1
    assert "'MIMOUNet' is taken" in said[0]
    assert '__main__.MIMOUNet' in said[0]
    assert 'MIMOUNet_b2b' in said[0]


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='starts its processes by fork')
def test_any_of_our_packages_can_be_the_first_import() -> None:
    """It brings in basicsr, whose import registers us: then no module of ours may be half imported."""
    run(
        BARE_BASICSR
        + f"""
# What basicsr needs stays imported, for speed; basicsr itself is to be imported again.
for name in [name for name in sys.modules if name.split('.')[0] == 'basicsr']:
    del sys.modules[name]
import logging, os
for package in {PACKAGES!r}:
    child = os.fork()
    if child == 0:
        said = []
        handler = logging.Handler()
        handler.emit = lambda record: said.append(record.getMessage())
        logging.getLogger('b2b_basicsr').addHandler(handler)
        try:
            __import__(package)
            from b2b_basicsr import registration
            assert registration._state['done'] and not said, said
        except BaseException as error:
            print(package, repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, package
"""
    )


@pytest.mark.parametrize('name', [None, 3, ['MIMOUNet'], 'EDSR', 'NoSuchNetwork'])
def test_what_is_not_ours(name: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert not is_ours(ARCH_REGISTRY, name)
    assert capsys.readouterr().out == ''  # BasicSR's registry prints when it falls back


def test_basicsr_own_losses_are_not_ours() -> None:
    assert not is_ours(LOSS_REGISTRY, 'L1Loss')
