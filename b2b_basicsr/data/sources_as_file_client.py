"""Picture sources where BasicSR's data sets expect a file client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.errors import UserError


class SourcesAsFileClient:
    """In the place of BasicSR's file client, which opens an LMDB of its own beside the one that others have open.

    Args:
        sources: client key (``lq``, ``gt``) -> the set that is read under it.
    """

    def __init__(self, sources: Mapping[str, PictureSource]) -> None:
        self._sources = dict(sources)

    def get(self, path: str, client_key: str) -> bytes:
        """What is stored under an LMDB's key or in a file."""
        return self._sources[client_key].content_of(path)


def open_sources(opt: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, PictureSource]:
    """The sets that a validation or training section names, as ``dataroot_KEY``.

    Args:
        opt: the section.
        keys: ``lq`` and ``gt``, say.

    Raises:
        UserError: if one is missing or empty, or the section has a ``meta_info_file``, which folders at any depth need
            not and which would be passed over.
    """
    section = f'datasets:{opt.get("phase", "val")}'
    if opt.get('meta_info_file') is not None:
        raise UserError(
            f'{section}:meta_info_file: {opt["type"]} takes all pictures at any depth; take the key out, or use '
            'PairedImageDataset or SingleImageDataset'
        )
    return {key: PictureSource(f'{section}:dataroot_{key}', opt[f'dataroot_{key}'], opt['io_backend']) for key in keys}
