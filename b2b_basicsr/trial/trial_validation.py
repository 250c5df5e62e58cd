"""One picture of a validation or test set, restored and scored."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset

from b2b_basicsr.bench.process_memory import forget_most_memory, is_out_of_memory, most_memory
from b2b_basicsr.data.random_crop import Size
from b2b_basicsr.errors import UserError
from b2b_basicsr.trial.picture_census import CountedSet
from b2b_basicsr.trial.trial_step import wait_for

_LONG = 30.0
"""Seconds; a first picture that takes longer is not run again."""


@dataclass(frozen=True)
class TriedValidation:
    """What the largest picture of a set took.

    Args:
        name: of the set.
        pictures: in it.
        picture: which one.
        size: its width and height; ``None`` where the set's pictures were not counted.
        seconds: of the second time, as at every validation but the first; of the first where that took long.
        again: whether there was a second time.
        of_set: seconds of the whole set, by the pixels of its pictures.
        peak_bytes: most memory.
        saved_bytes: of the pictures that it left.
        scores: metric -> value.
    """

    name: str
    pictures: int
    picture: str
    size: Size | None
    seconds: float
    again: bool
    of_set: float
    peak_bytes: int | None
    saved_bytes: int
    scores: Mapping[str, float]


class OnePicture(Dataset[Any]):
    """One picture of a set, as a set.

    Args:
        dataset: BasicSR's or ours.
        index: of the picture.
    """

    def __init__(self, dataset: Any, index: int) -> None:
        self._dataset, self._index = dataset, index
        self.opt: Any = dataset.opt
        if hasattr(dataset, 'paths'):
            self.paths = [dataset.paths[index]]

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        return self._dataset[self._index]


def try_set(model: Any, opt: Mapping[str, Any], loader: Any, counted: Sequence[CountedSet]) -> TriedValidation:
    """Restores and scores the largest picture of a set, twice if that is quick.

    Args:
        model: one of ours.
        opt: its options, as they are parsed.
        loader: of the set.
        counted: of its folders; the first is of the pictures that are restored.

    Raises:
        UserError: if it cannot be read, or there is too little memory for it.
    """
    dataset = loader.dataset
    index, sizes = _largest(dataset, counted)
    one = DataLoader(OnePicture(dataset, index), batch_size=1)
    name, visible = str(dataset.opt['name']), Path(opt['path']['visualization'])
    size = sizes[index] if sizes else None
    forget_most_memory()
    try:
        seconds = _validated(model, opt, one, 1)
        before, again = _bytes_below(visible), seconds <= _LONG
        if again:
            seconds = _validated(model, opt, one, 2)
    except (RuntimeError, MemoryError) as cause:
        if not is_out_of_memory(cause):
            raise
        measures = '' if size is None else f', {size[0]}x{size[1]},'
        raise UserError(
            f'datasets:{dataset.opt["phase"]}: {_path(dataset, index)}{measures} does not fit into the memory of the '
            f'{model.device}; set val:tile or val:crop'
        ) from cause
    crop = (opt.get('val') or {}).get('crop')
    areas = [_area(one_size, crop) for one_size in sizes]
    share = sum(areas) / areas[index] if areas else len(dataset)
    after = _bytes_below(visible)
    return TriedValidation(
        name,
        len(dataset),
        _path(dataset, index),
        size,
        seconds,
        again,
        seconds * share,
        most_memory(),
        after - before if again and opt['is_train'] else after,
        dict(model.metric_results),
    )


def _validated(model: Any, opt: Mapping[str, Any], one: Any, iteration: int) -> float:
    start = time.perf_counter()
    model.validation(one, iteration if opt['is_train'] else opt['name'], None, opt['val']['save_img'])
    wait_for(model.device)
    return time.perf_counter() - start


def _largest(dataset: Any, counted: Sequence[CountedSet]) -> tuple[int, list[Size]]:
    """Where the picture with most pixels stands, and the sizes of all; the first, and none, where they are unknown."""
    known = counted[0].sizes_by_place if counted else {}
    indices = range(len(dataset)) if hasattr(dataset, 'paths') else ()
    found = [known.get(os.path.normpath(_path(dataset, index))) for index in indices]
    sizes = [size for size in found if size is not None]
    if not sizes or len(sizes) < len(found):
        return 0, []
    return max(indices, key=lambda index: sizes[index][0] * sizes[index][1]), sizes


def _path(dataset: Any, index: int) -> str:
    if not hasattr(dataset, 'paths'):
        return f'picture {index}'
    entry = dataset.paths[index]
    return str(entry if isinstance(entry, str) else entry['lq_path'])


def _area(size: Size, crop: int | None) -> int:
    width, height = size if crop is None else (min(side, crop) for side in size)
    return width * height


def _bytes_below(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob('*') if file.suffix.lower() == '.png')
