"""Picture sources where BasicSR's data sets expect a file client."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.errors import UserError
from b2b_basicsr.printable import printable

_LONGEST_FOR_OPENCV = 1 << 20


class SourcesAsFileClient:
    """In the place of BasicSR's file client, so that its sets read pictures as ours do.

    What it gives is decoded already, and goes on as PPM, which OpenCV takes over as it is: OpenCV alone would show
    half of a truncated picture, give nothing and no reason for a broken one, and treat alpha, CMYK and large pictures
    in its own way. Nor does it open an LMDB of its own beside the one that others have open.

    Args:
        sources: client key (``lq``, ``gt``) -> the set that is read under it.
    """

    def __init__(self, sources: Mapping[str, PictureSource]) -> None:
        self._sources = dict(sources)

    def get(self, path: str, client_key: str) -> bytes:
        """The picture stored under an LMDB's key or in a file, as a PPM: 8-bit RGB, upright.

        Raises:
            UserError: if it cannot be read, or has a side that is too long for OpenCV.
        """
        source = self._sources[client_key]
        picture = source.read_at(path)
        if max(picture.size) > _LONGEST_FOR_OPENCV:
            raise UserError(
                f'{source.option_key}: {printable(path)} measures {picture.width}x{picture.height}, and OpenCV reads '
                f'at most {_LONGEST_FOR_OPENCV} pixels a side; take it out'
            )
        file = io.BytesIO()
        picture.save(file, 'ppm')
        return file.getvalue()


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
