"""A training or test that leaves everything in a temporary folder, and nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from basicsr.utils import make_exp_dirs


@contextmanager
def scratch_folder(opt: dict[str, Any]) -> Iterator[Path]:
    """Within the block the options' experiment, or results, lie in a temporary folder, which goes at its end.

    Args:
        opt: as BasicSR's parser gives it; its ``path`` and ``root_path`` are changed.

    Yields:
        The folder that stands for ``experiments/NAME`` or ``results/NAME``.
    """
    paths = opt['path']
    own = Path(paths['experiments_root' if opt['is_train'] else 'results_root'])
    with TemporaryDirectory(prefix='b2b_check-', ignore_cleanup_errors=True) as root:
        scratch = Path(root, own.parent.name, own.name)
        for key, value in paths.items():
            if key in ('experiments_root', 'models', 'training_states', 'log', 'visualization', 'results_root'):
                paths[key] = str(scratch / Path(value).relative_to(own))
        opt['root_path'] = root
        make_exp_dirs(opt)
        yield scratch
