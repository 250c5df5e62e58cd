"""torchvision's weights of ImageNet networks: from a file, or downloaded where a key of an option file says so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from filelock import FileLock
from torchvision.models import get_model_weights

from b2b_basicsr.errors import UserError
from b2b_basicsr.processes import this_process

DOWNLOAD = 'download'


def imagenet_weights(model: str, source: str | None, option_key: str) -> tuple[Mapping[str, Any], str]:
    """A state dict as torchvision's files hold it, read without running code from it.

    Args:
        model: torchvision's name of the network, ``vgg16`` say.
        source: a file; or ``download``, for the file that torch keeps of earlier downloads (``TORCH_HOME``), which is
            fetched and its check sum looked at if it is not there; ``None`` for that file, and no network.
        option_key: the key that says ``source``, for messages.

    Returns:
        The weights, and the file that they are from.

    Raises:
        UserError: if the file is missing or cannot be read as weights, or the download fails.
    """
    # Not at the top: models import losses.
    from b2b_basicsr.models.checkpoint import read_checkpoint

    url, kept = _url(model), kept_file(model)
    file = Path(source).expanduser() if source not in (None, DOWNLOAD) else kept
    if source == DOWNLOAD:
        _fetch(model, url, kept, option_key)
    elif not file.is_file():
        found = f'{model} is not in {kept.parent}' if source is None else f'no file {source!r}'
        raise UserError(f"{option_key}: {found}; write {DOWNLOAD}, or name a file of torchvision's {model}: {url}")
    try:
        return read_checkpoint(option_key, str(file)), str(file)
    except UserError as error:
        raise UserError(f'{error}; remove it, or put it there whole: {url}') from error


def kept_file(model: str) -> Path:
    """Where torch keeps the weights of an ImageNet network that it has downloaded; the file need not be there.

    Args:
        model: torchvision's name of the network.
    """
    return Path(torch.hub.get_dir(), 'checkpoints', Path(urlparse(_url(model)).path).name)


def _url(model: str) -> str:
    return str(get_model_weights(model)['IMAGENET1K_V1'].url)


def _fetch(model: str, url: str, kept: Path, option_key: str) -> None:
    """Whole or not at all. Of several processes one downloads, and the others find the file then."""
    if kept.is_file():
        return
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(kept):
            if not kept.is_file():
                print(f'{option_key}: {url} is downloaded to {kept}', flush=True)
                sum_begins_with = torch.hub.HASH_REGEX.search(kept.name)
                assert sum_begins_with is not None
                torch.hub.download_url_to_file(url, os.fspath(kept), sum_begins_with.group(1))
    except Exception as cause:
        said = ' '.join(f'{type(cause).__name__}: {cause}'.split())[:160]
        raise UserError(
            f'{option_key}: {model} could not be downloaded ({said}); get {url} on a machine with network, and name '
            f'that file here or put it where torch looks: {kept}'
        ) from cause


def _one_at_a_time(kept: Path) -> AbstractContextManager[Any]:
    return nullcontext() if this_process()[1] == 1 else FileLock(kept.with_name(f'{kept.name}.lock'))
