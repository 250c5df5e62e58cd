"""Experiments, logs and results of an installed basicsr go under the working folder.

BasicSR's scripts take the folder that holds ``basicsr`` for the root of a checkout. For an installed basicsr that is
``site-packages``, where no experiment belongs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from b2b_basicsr.compat.mend import Mend, basicsr_has_faults
from b2b_basicsr.compat.training_script import wrap_parse_options, wrap_script_function
from b2b_basicsr.processes import this_process


def root_for(root_path: str) -> str:
    """Return the root of experiments: ``root_path``, or the working folder where that holds installed packages."""
    root = Path(root_path)
    installed = root.name in ('site-packages', 'dist-packages') or any(root.glob('basicsr-*.dist-info'))
    return os.getcwd() if installed else root_path


def _under_one_root(parse_options: Callable[..., Any]) -> Callable[..., Any]:
    def parse(root_path: str, is_train: bool = True) -> Any:
        root = root_for(root_path)
        if root != root_path and this_process()[0] == 0:
            print(f'b2b_basicsr: experiments and results go under {root}, not into {root_path}.', flush=True)
        return parse_options(root, is_train=is_train)

    return parse


def _with_the_same_root(load_resume_state: Callable[..., Any]) -> Callable[..., Any]:
    """Set ``root_path`` again: the training script overwrites it after its options are parsed."""

    def load(opt: dict[str, Any]) -> Any:
        opt['root_path'] = root_for(opt['root_path'])
        return load_resume_state(opt)

    return load


def _apply() -> None:
    wrap_parse_options(_under_one_root)
    wrap_script_function('load_resume_state', _with_the_same_root)


MEND = Mend(name='one_root', affects='basicsr <= 1.4.2', needed=basicsr_has_faults, apply=_apply)
