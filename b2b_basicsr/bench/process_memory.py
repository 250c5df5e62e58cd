"""The most memory that this process has held at a time."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path


def most_memory() -> int | None:
    """Bytes: what torch has allocated on a CUDA device, where it uses one, else what the whole process held.

    ``None`` where it cannot be told.
    """
    torch = sys.modules.get('torch')
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()  # others may need it now
        return int(torch.cuda.max_memory_allocated())
    try:
        # Of this program alone: getrusage's figure outlives exec, so it may be the parent's.
        lines = Path('/proc/self/status').read_text(encoding='ascii').splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith('VmHWM:'))
    except (OSError, StopIteration):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == 'darwin' else peak * 1024


def forget_most_memory() -> None:
    """From now on :func:`most_memory` tells of what comes; where the system cannot forget, of the whole run."""
    torch = sys.modules.get('torch')
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
        return
    with suppress(OSError):
        Path('/proc/self/clear_refs').write_text('5', encoding='ascii')


def is_out_of_memory(cause: BaseException) -> bool:
    """Whether an error says that there was too little memory, of the machine or the device."""
    words = str(cause).lower()
    return isinstance(cause, MemoryError) or 'out of memory' in words or "can't allocate memory" in words
