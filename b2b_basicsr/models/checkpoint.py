"""Checkpoint files: BasicSR's layout, read safely and written whole."""

from __future__ import annotations

import errno
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from basicsr.utils import get_root_logger
from torch import Tensor, nn

from b2b_basicsr.errors import UserError
from b2b_basicsr.whole_file import whole_file

PLAIN = 'the file itself'


def read_checkpoint(option_key: str, path: str) -> Mapping[Any, Any]:
    """The whole content of a checkpoint file, its tensors on the CPU.

    Args:
        option_key: the key that names the file, for messages.
        path: a ``.pth`` or ``.safetensors`` file.

    Raises:
        UserError: if the file is missing, is not readable without running code from it, or holds no mapping.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError(f'{option_key}: no file {str(path)!r} (looked in {Path.cwd()})')
    if file.suffix.lower() == '.safetensors':
        return _read_safetensors(option_key, file)
    try:
        refuse_packed(file)
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'Detected pickle protocol')  # what is wrong is said below
            content = torch.load(file, map_location='cpu', weights_only=True)
    except Exception as cause:
        foreign = re.search(r'GLOBAL ([\w.]+)', str(cause)) if isinstance(cause, pickle.UnpicklingError) else None
        if foreign is not None:
            raise UserError(
                f'{option_key}: {str(path)!r} is not read: it holds an object of {foreign.group(1)}, which could run '
                'code when it is loaded; take weights that are tensors alone, or a .safetensors file'
            ) from cause
        raise UserError(
            f'{option_key}: {str(path)!r} cannot be read as weights: it is damaged, no checkpoint, or '
            'holds objects that could run code'
        ) from cause
    if not isinstance(content, Mapping):
        raise UserError(f'{option_key}: {str(path)!r} holds a {type(content).__name__}, no weights')
    return content


def refuse_packed(file: str | Path) -> None:
    """Refuses a file of torch's format whose content is larger than itself: torch packs nothing.

    Raises:
        ValueError: if it is such a file; a few kilobytes could fill the memory.
        OSError: if it cannot be read.
    """
    file = Path(file)
    if not zipfile.is_zipfile(file):  # of torch's old format, or none
        return
    with zipfile.ZipFile(file) as archive:
        if sum(member.file_size for member in archive.infolist()) > file.stat().st_size:
            raise ValueError(f'{file}: holds more than its own size')


def refuse_damaged(file: str | Path) -> None:
    """Refuses a file of torch's format that does not hold what was written, by the check sums in it.

    torch itself looks at none of them: it sees that a file was cut off, and not that a part of it was lost.

    Raises:
        ValueError: if a part is damaged.
        OSError: if it cannot be read.
    """
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f'{file}: {damaged} is damaged')


def _read_safetensors(option_key: str, file: Path) -> Mapping[Any, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        content: Mapping[Any, Any] = load_file(file)
    except (SafetensorError, OSError) as cause:
        raise UserError(
            f'{option_key}: {str(file)!r} cannot be read as safetensors: it is damaged, or another kind'
        ) from cause
    return content


def read_state_dict(option_key: str, path: str, param_key: str | None) -> tuple[dict[str, Tensor], str]:
    """A network's weights from a file.

    Args:
        option_key: the key that names the file, for messages.
        path: a ``.pth`` file, of BasicSR's layout or a plain state dict.
        param_key: ``params`` or ``params_ema``; where the file has only the other of the two, that is taken. A file
            without either is taken as a plain state dict.

    Returns:
        The weights, without ``module.`` prefixes, and the name of the part that they come from.

    Raises:
        UserError: if the file is missing, is not readable without running code from it, or holds no weights.
    """
    return weights_in(read_checkpoint(option_key, path), option_key, path, param_key)


def weights_in(
    content: Mapping[Any, Any], option_key: str, path: str, param_key: str | None
) -> tuple[dict[str, Tensor], str]:
    """As :func:`read_state_dict`, of a file that has been read; ``path`` is for messages."""
    part, state = PLAIN, content
    fall_backs = ('params', 'params_ema') if param_key in (None, 'params', 'params_ema') else ()
    for candidate in (param_key, *fall_backs):
        if candidate is not None and isinstance(content.get(candidate), Mapping):
            part, state = candidate, content[candidate]
            break
    weights = {str(key).removeprefix('module.'): value for key, value in state.items()}
    if not weights or not all(isinstance(value, Tensor) for value in weights.values()):
        keys = ', '.join(map(str, content)) or 'nothing'
        raise UserError(f'{option_key}: {str(path)!r} has no weights under {param_key!r}; it holds {keys[:160]}')
    return weights, part


def check_fit(option_key: str, path: str, net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Raises ``UserError`` with the first difference if the weights are another network's."""
    wanted = net.state_dict()
    missing, foreign = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    shapes = [key for key in wanted if key in weights and wanted[key].shape != weights[key].shape]
    if not (missing or foreign or shapes):
        return
    if shapes:
        key = shapes[0]
        detail = f'{key} is {list(weights[key].shape)} in the file, {list(wanted[key].shape)} in the network'
    else:
        detail = f'the file lacks {missing[0]}' if missing else f'the network has no {foreign[0]}'
    raise UserError(
        f'{option_key}: {str(path)!r} is a checkpoint of another network than this {type(net).__name__} ({detail}; '
        f'{len(missing)} keys missing, {len(foreign)} foreign, {len(shapes)} of other shape)'
    )


def load_weights(net: nn.Module, option_key: str, path: str, strict: bool, param_key: str | None) -> None:
    """Puts the weights of a file into a network, and logs it.

    Args:
        net: the network, bare of any wrapper.
        option_key: the key that names the file, for messages.
        path: see :func:`read_state_dict`.
        strict: refuse a file whose keys or shapes differ; otherwise take what fits, and log the rest.
        param_key: see :func:`read_state_dict`.

    Raises:
        UserError: if the file is missing, unreadable, or (``strict``) another network's.
    """
    logger = get_root_logger()
    weights, part = read_state_dict(option_key, path, param_key)
    logger.info(f'Loading {type(net).__name__} from {path}, with param key: [{part}].')
    if strict:
        check_fit(option_key, path, net, weights)
        net.load_state_dict(weights)
        return
    wanted = net.state_dict()
    fitting = {key: value for key, value in weights.items() if key in wanted and wanted[key].shape == value.shape}
    for what, keys in (
        ('stay as they were', wanted.keys() - fitting.keys()),
        ('of the file are left out', weights.keys() - fitting.keys()),
    ):
        if keys:
            logger.warning(f'{len(keys)} keys {what}: {", ".join(sorted(keys))}')
    net.load_state_dict(fitting, strict=False)


def write_whole(content: Mapping[str, Any], path: str | Path) -> None:
    """Saves so that ``path`` is either what it was or the whole new file, whatever happens in between.

    Raises:
        OSError: if the disk is full, or the folder is not there (any longer) or cannot be written.
    """
    path = Path(path)
    if not path.parent.is_dir():  # not made anew: what it was on may no longer be mounted
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
    with whole_file(path) as temporary, temporary.open('wb') as file:
        try:
            torch.save(content, file)
        except RuntimeError as cause:  # of torch's own, in the place of what the disk said
            if isinstance(cause.__context__, OSError):
                raise cause.__context__ from None
            raise
