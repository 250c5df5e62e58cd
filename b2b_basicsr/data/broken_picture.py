"""What is wrong with a sample of BasicSR's data sets, which raise whatever happens to go wrong next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from basicsr.utils import imfrombytes

from b2b_basicsr.errors import UserError
from b2b_basicsr.printable import printable


def read_sample(dataset: Any, index: int) -> Mapping[str, Any]:
    """``dataset[index]``, whose pictures have been there and whole, and may not be any longer.

    Args:
        dataset: one of BasicSR's sets of single pictures or of pairs, or one like them; any other is read all the same.
        index: place in it.

    Raises:
        UserError: if a picture of it cannot be read, has become smaller than the crop, or another size than its twin.
        Exception: what the set raises for any other reason.
    """
    try:
        sample: Mapping[str, Any] = dataset[index]
    except UserError:  # our own sets name the picture
        raise
    except Exception as cause:
        reason = _what_is_broken(dataset, index)
        if reason is None:
            raise
        raise UserError(reason) from cause
    # The larger twin of two may have been cut to the smaller one, and the other is found out by the scores alone.
    if {'lq', 'gt'} <= sample.keys() and sample['gt'].shape[-2:] != sample['lq'].shape[-2:]:
        raise UserError(_what_is_broken(dataset, index) or f"{sample['gt_path']} is not of its twin's size")
    return sample


def _what_is_broken(dataset: Any, index: int) -> str | None:
    client, paths = getattr(dataset, 'file_client', None), getattr(dataset, 'paths', None)
    if client is None or not paths:
        return None
    files = {'lq_path': paths[index]} if isinstance(paths[index], str) else paths[index]
    sizes: dict[str, tuple[int, int]] = {}
    for key, path in files.items():
        try:
            picture = imfrombytes(client.get(path, key.removesuffix('_path')))
            if picture is None:
                raise ValueError('no picture, or a part of one')
        except Exception as cause:
            reason = ' '.join(str(cause).split()) or type(cause).__name__
            return f'{printable(path)} cannot be read as a picture ({printable(reason)})'
        sizes[path] = (picture.shape[1], picture.shape[0])
    if len(set(sizes.values())) > 1:
        (path, size), (twin, other) = list(sizes.items())[:2]
        return f'{printable(path)} measures {size[0]}x{size[1]}, its twin {printable(twin)} {other[0]}x{other[1]}'
    wanted = dataset.opt.get('gt_size') if dataset.opt.get('phase') == 'train' else None
    for path, size in sizes.items():
        if wanted and min(size) < wanted:
            return f'{printable(path)} measures {size[0]}x{size[1]}, smaller than the crop, gt_size {wanted}'
    return None
