"""Every picture of an option file's data sets, opened and decoded."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from basicsr.utils.registry import DATASET_REGISTRY
from tqdm import tqdm

from b2b_basicsr.checks.data_check import KNOWN_SETS
from b2b_basicsr.checks.registered import registered
from b2b_basicsr.data.lmdb_clients import close_lmdb_clients
from b2b_basicsr.data.picture_checks import all_outcomes
from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.data.random_crop import Size
from b2b_basicsr.data.unpaired_blur_dataset import UnpairedBlurDataset
from b2b_basicsr.errors import UserError
from b2b_basicsr.printable import printable

_TOLD_ONE_BY_ONE = 20
_LMDB = 'lmdb'


@dataclass(frozen=True)
class CountedSet:
    """What was found in one folder or LMDB.

    Args:
        option_key: that names it.
        root: the folder.
        names: of the pictures in it that are used.
        sizes: width and height of each, as it is shown.
        kind: ``disk`` or ``lmdb``.
        places: of each, as the data set names it: its file, or its key in the LMDB.
    """

    option_key: str
    root: str
    names: tuple[str, ...]
    sizes: tuple[Size, ...]
    kind: str
    places: tuple[str, ...]

    def _by_area(self, place: int) -> int:
        return self.sizes[place][0] * self.sizes[place][1]

    @property
    def smallest(self) -> Size:
        """By pixels."""
        return self.sizes[min(range(len(self.sizes)), key=self._by_area)]

    @property
    def largest(self) -> Size:
        """By pixels."""
        return self.sizes[max(range(len(self.sizes)), key=self._by_area)]

    @property
    def kinds(self) -> dict[str, int]:
        """Extension -> number of files; of an LMDB all are one."""
        if self.kind == _LMDB:
            return {_LMDB: len(self.names)}
        return dict(Counter(PurePosixPath(name).suffix.lower().removeprefix('.') for name in self.names).most_common())

    @property
    def folders(self) -> int:
        """How many folders lie at its top: videos or scenes, as a rule."""
        return len({name.split('/')[0] for name in self.names if '/' in name})

    @property
    def sizes_by_place(self) -> dict[str, Size]:
        """Each of ``places``, normalised, and the size of the picture there."""
        return {os.path.normpath(place): size for place, size in zip(self.places, self.sizes, strict=True)}

    def names_shared_with(self, other: CountedSet) -> int:
        """How many pictures have, without their extension, a name that is in the other set, too."""
        return len(self._stems() & other._stems())

    def _stems(self) -> set[str]:
        if self.kind == _LMDB:
            return set(self.names)
        return {PurePosixPath(name).with_suffix('').as_posix() for name in self.names}


def sources_of(phase: str, section: Mapping[str, Any]) -> list[PictureSource]:
    """The folders and LMDBs of a ``datasets`` section that has been checked, and the pictures of them that it uses.

    None of a data set that is neither ours nor one of BasicSR's that are checked.

    Raises:
        UserError: if the section is wrong.
    """
    kind = registered(DATASET_REGISTRY, f'datasets:{phase}', section.get('type', ''))
    if kind is UnpairedBlurDataset:
        return list(UnpairedBlurDataset(deepcopy(dict(section))).sources.values())
    roots = KNOWN_SETS.get(section['type'], ())
    sources = [PictureSource(f'datasets:{phase}:{root}', section[root], section['io_backend']) for root in roots]
    if section.get('meta_info_file') is not None:
        paths = kind(deepcopy(dict(section))).paths
        for source, root in zip(sources, roots, strict=True):
            label = root.removeprefix('dataroot_')
            listed = [path if isinstance(path, str) else path[f'{label}_path'] for path in paths]
            on_disk = section['io_backend']['type'] == 'disk'
            source.names = sorted(os.path.relpath(path, source.root) if on_disk else path for path in listed)
    return sources


def count_pictures(datasets: Mapping[str, Mapping[str, Any]]) -> dict[str, list[CountedSet]]:
    """Opens and decodes every picture, several at a time, with a bar on standard error.

    Args:
        datasets: that section of a parsed option file, which has been checked.

    Returns:
        Each section's sets, in their order.

    Raises:
        UserError: if some cannot be read: how many. They stand on standard error, one a line, the first 20.
    """
    sources = {phase: sources_of(phase, section) for phase, section in datasets.items()}
    every = [source for of_phase in sources.values() for source in of_phase]
    looks = [partial(_decoded_size, source, index) for source in every for index in range(len(source))]
    try:
        outcomes = all_outcomes(looks, _with_bar)
    finally:
        close_lmdb_clients()  # BasicSR's own data sets open the same databases
    tell_all(outcomes, 'pictures', 'cannot be read')
    sizes = iter(outcome for outcome in outcomes if not isinstance(outcome, UserError))
    return {phase: [_counted(source, sizes) for source in of_phase] for phase, of_phase in sources.items()}


def tell_all(outcomes: Sequence[object], what: str, are_wrong: str) -> None:
    """Tells of every ``UserError`` among outcomes: on standard error, one a line, the first 20.

    Args:
        outcomes: of :func:`all_outcomes`.
        what: they are of, for the message.
        are_wrong: what some of them are, for the message.

    Raises:
        UserError: if there is one: their number.
    """
    mistakes = list(dict.fromkeys(str(outcome) for outcome in outcomes if isinstance(outcome, UserError)))
    if not mistakes:
        return
    for mistake in mistakes[:_TOLD_ONE_BY_ONE]:
        print(printable(mistake), file=sys.stderr)
    if len(mistakes) > _TOLD_ONE_BY_ONE:
        print(f'and {len(mistakes) - _TOLD_ONE_BY_ONE} more', file=sys.stderr)
    of_all = f'{len(mistakes)} of {len(outcomes)} {what}' if what else str(len(mistakes))
    raise UserError(f'{of_all} {are_wrong}, see above; mend them or take them out. No step was tried')


def _with_bar(results: Iterator[Any], total: int) -> Iterator[Any]:
    yield from tqdm(results, total=total, desc='opening pictures', unit=' pictures', leave=False, file=sys.stderr)


def _decoded_size(source: PictureSource, index: int) -> Size:
    return source.read(index).size


def _counted(source: PictureSource, sizes: Iterator[Size]) -> CountedSet:
    indices = range(len(source))
    return CountedSet(
        source.option_key,
        str(source.root),
        tuple(source.names),
        tuple(next(sizes) for _ in indices),
        _LMDB if source.root.suffix == '.lmdb' else 'disk',
        tuple(source.stored_at(index) for index in indices),
    )
