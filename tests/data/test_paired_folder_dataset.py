from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from basicsr.data import build_dataset

from b2b_basicsr.errors import UserError


def test_pairs_at_any_depth(make_pictures: Callable[..., Path]) -> None:
    options: dict[str, Any] = {
        'type': 'PairedFolderDataset',
        'name': 'test',
        'phase': 'val',
        'scale': 1,
        'dataroot_lq': str(make_pictures('lq', ['a/0.png', 'b/0.png'], seed=1)),
        'dataroot_gt': str(make_pictures('gt', ['a/0.jpg', 'b/0.jpg'], seed=1)),
        'io_backend': {'type': 'disk'},
    }
    dataset = build_dataset(options)
    assert len(dataset) == 2
    sample = dataset[1]
    assert sample['lq_path'].endswith('lq/b/0.png')
    assert sample['gt_path'].endswith('gt/b/0.jpg')
    assert sample['lq'].shape == sample['gt'].shape == (3, 40, 48)
    Path(options['dataroot_gt'], 'b/0.jpg').unlink()
    with pytest.raises(UserError, match=r'dataroot_lq: 1 of 2 pictures have no twin'):
        build_dataset(options)
