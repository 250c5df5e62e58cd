"""What the package runs in: versions, mends, devices."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from b2b_basicsr import __version__
from b2b_basicsr.bench.machine import machine_facts
from b2b_basicsr.bench.timing_table import Table, Value

_PACKAGES = ('basicsr', 'torch', 'torchvision', 'numpy', 'pillow', 'opencv-python', 'opencv-python-headless')


def environment_tables() -> list[Table]:
    """Versions, the mends that basicsr needed here, and the devices."""
    return [_versions(), _mends(), _devices()]


def _versions() -> Table:
    found = {'python': platform.python_version(), 'b2b_basicsr': __version__}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):  # OpenCV comes under one of two names
            found[package] = version(package)
    return Table('Versions', [{'package': package, 'version': said} for package, said in found.items()])


def _mends() -> Table:
    from b2b_basicsr.compat import MENDS, applied

    made = applied()
    rows: list[dict[str, Value]] = [
        {'mend': mend.name, 'needed by': mend.affects, 'here': 'made' if mend in made else 'not needed'}
        for mend in MENDS
    ]
    return Table('Mends of basicsr, made from outside', rows)


def _devices() -> Table:
    import torch

    rows: list[dict[str, Value]] = [
        {'device': 'cpu', 'name': machine_facts()['processor'], 'memory (GiB)': _memory_of_the_machine()}
    ]
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        rows.append({'device': f'cuda:{index}', 'name': facts.name, 'memory (GiB)': facts.total_memory / 2**30})
    return Table('Devices', rows)


def _memory_of_the_machine() -> float | None:
    try:
        return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30
    except (AttributeError, ValueError, OSError):  # not on every system
        return None
