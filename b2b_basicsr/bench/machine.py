"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
from datetime import date
from pathlib import Path

from b2b_basicsr.errors import UserError


def machine_facts() -> dict[str, str]:
    """Processor, cores, GPU, versions and the day.

    ``cores`` are those that this process may use, ``threads`` torch's own on the CPU; without CUDA there is no ``gpu``.
    """
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    facts = {
        'processor': _processor(),
        'cores': str(cores),
        'threads': str(torch.get_num_threads()),
        'cpu capability': torch.backends.cpu.get_cpu_capability(),
    }
    if torch.cuda.is_available():
        facts['gpu'] = torch.cuda.get_device_name()
        facts['cuda'] = str(torch.version.cuda)
    facts |= {'torch': str(torch.__version__), 'python': platform.python_version(), 'date': date.today().isoformat()}
    return facts


def existing_device(asked: str | None) -> str:
    """``'cpu'`` or ``'cuda'``: the one that ``--device`` asks for; without it CUDA where there is one.

    Raises:
        UserError: if CUDA is asked for and not there.
    """
    import torch

    there = torch.cuda.is_available()
    if asked == 'cuda' and not there:
        raise UserError('--device: cuda asked for, and there is none; give cpu')
    return asked or ('cuda' if there else 'cpu')


def _processor() -> str:
    """The processor's name, and its family and model: cloud machines often hide what the name would say."""
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    said = dict(_entry(line) for line in lines)
    name = said.get('model name') or platform.processor() or platform.machine()
    numbers = [f'{key} {said[key]}' for key in ('cpu family', 'model') if key in said]
    return f'{name} ({", ".join(numbers)})' if numbers else name


def _entry(line: str) -> tuple[str, str]:
    key, _, value = line.partition(':')
    return key.strip(), value.strip()
