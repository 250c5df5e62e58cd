"""The candidates' deblurrers, as the command line names them, and pictures put through them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from b2b_basicsr.errors import UserError
from b2b_basicsr.rank_known.candidate import Candidate

if TYPE_CHECKING:
    import torch

Deblur = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Of uint8 [h, w, 3], RGB, to the same."""


def files_by_candidate(option: str, texts: Sequence[str], candidates: Sequence[Candidate]) -> dict[str, Path]:
    """Files given as ``NAME=FILE``.

    Args:
        option: that they were given by, for messages.
        texts: what was given.
        candidates: whose names may stand there.

    Raises:
        UserError: if one is not so written, names no candidate, or stands there twice.
    """
    files: dict[str, Path] = {}
    names = [candidate.name for candidate in candidates]
    for text in texts:
        name, equals, file = text.partition('=')
        if not equals or not file:
            raise UserError(f'{option} {text!r}: give NAME=FILE, NAME being that of a candidate')
        if name not in names:
            raise UserError(f'{option} {text!r}: no candidate has that name; there are {", ".join(names)}')
        if name in files:
            raise UserError(f'{option} {text!r}: {name} has one already; leave one out')
        files[name] = Path(file)
    return files


def check_deblurrers(
    files: Mapping[str, Path], option_files: Mapping[str, Path], candidates: Sequence[Candidate]
) -> None:
    """Refuse what could not be compared.

    Raises:
        UserError: if some candidates have a deblurrer and others have none, or a file that describes one stands alone.
    """
    for name in option_files:
        if name not in files:
            raise UserError(f'--deblurrer-opt {name}: there is no --deblurrer {name}=FILE that it describes')
    if not files:
        return
    for candidate in candidates:
        if candidate.name not in files:
            raise UserError(
                f'--deblurrer: {candidate.name} has none; what is measured does not compare with what is expected, so '
                'give one for each candidate, or for none'
            )


def deblurrer_from(file: Path, option_file: Path | None, device: str | torch.device | None) -> Deblur:
    """Loads a deblurrer, as ``b2b restore`` does.

    Args:
        file: its checkpoint.
        option_file: that describes the network; ``None``: the checkpoint tells it.
        device: where it computes; ``None``: CUDA where there is one, else the CPU.

    Raises:
        UserError: if it cannot be loaded, or the device is not there.
    """
    from b2b_basicsr.restore.pipeline import Blur2BlurPipeline

    pipeline = Blur2BlurPipeline.from_files(deblurrer=file, deblurrer_opt=option_file, device=device)
    return lambda picture: pipeline(picture, translate=False)
