"""Data sets of an option file: folders, pictures and pairs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from basicsr.utils.registry import DATASET_REGISTRY
from torchvision.datasets.folder import IMG_EXTENSIONS
from tqdm import tqdm

from b2b_basicsr.checks.registered import registered
from b2b_basicsr.data.loader_options import name_template
from b2b_basicsr.data.picture_checks import RunChecks, decoded_ahead, run_checks
from b2b_basicsr.data.picture_source import PictureSource, decoded_size, matched_pairs, picture_size
from b2b_basicsr.data.unpaired_blur_dataset import UnpairedBlurDataset
from b2b_basicsr.errors import OptionError, UserError
from b2b_basicsr.printable import printable

KNOWN_SETS = {
    'PairedImageDataset': ('dataroot_lq', 'dataroot_gt'),
    'PairedFolderDataset': ('dataroot_lq', 'dataroot_gt'),
    'SingleImageDataset': ('dataroot_lq',),
    'SingleFolderDataset': ('dataroot_lq',),
}
_FOLDERS_WITHIN_FOLDERS = ('PairedFolderDataset', 'SingleFolderDataset')
_OURS_INSTEAD = {'PairedImageDataset': 'PairedFolderDataset', 'SingleImageDataset': 'SingleFolderDataset'}
Size = tuple[int, int]


def check_dataset(phase: str, section: dict[str, Any], trains_pairs: bool, run: RunChecks = run_checks) -> None:
    """Checks one ``datasets`` section.

    Args:
        phase: its name: ``train``, ``val``, ...
        section: its keys.
        trains_pairs: the model is ours, so a paired training set is read as well.
        run: looks at the pictures, when names and pairs have been found to be right.

    Raises:
        UserError: for the first thing that the user has to mend.
    """
    key = f'datasets:{phase}'
    kind = registered(DATASET_REGISTRY, key, section.get('type', ''))
    if phase == 'train':  # what BasicSR reads without a default
        section.setdefault('num_worker_per_gpu', 0)
        section.setdefault('use_hflip', False)
        section.setdefault('use_rot', False)
        section.setdefault('name', phase)
    if kind is UnpairedBlurDataset:
        UnpairedBlurDataset(deepcopy(dict(section))).check_pictures(with_bar, run)
    elif section['type'] in KNOWN_SETS and (phase != 'train' or trains_pairs):
        _check_known_set(phase, section, run)


def with_bar(results: Iterator[Any], total: int) -> Iterator[Any]:
    """Shows on standard error how far the checks of pictures are, if they take a while."""
    yield from tqdm(results, total=total, desc='checking pictures', unit='', delay=2, leave=False, file=sys.stderr)


def _check_known_set(phase: str, section: dict[str, Any], run: RunChecks) -> None:
    """Folders, pairs and pictures of a set whose reading is BasicSR's own."""
    key = f'datasets:{phase}'
    if not section.get('name'):
        raise UserError(f'{key}:name: missing; results are logged under it')
    roots = KNOWN_SETS[section['type']]
    sources = {}
    for root in roots:
        if not section.get(root):
            raise UserError(f'{key}:{root}: missing; {section["type"]} needs it')
        sources[root] = PictureSource(f'{key}:{root}', section[root], section.get('io_backend', {}))
        if phase != 'train':
            _check_names(sources[root])
    listed = section.get('meta_info_file')
    if listed is None:
        section.pop('meta_info_file', None)  # SingleImageDataset would open it
    elif not Path(listed).is_file():
        raise UserError(f'{key}:meta_info_file: no file {listed!r}')
    _check_template(key, section.get('filename_tmpl', '{}'))
    smallest = _smallest_side(phase, section)
    if len(sources) == 2 and section.setdefault('scale', 1) != 1:
        raise OptionError('scale', f'{section["scale"]!r}: blurry and sharp pictures are of one size: set scale: 1')
    if section['io_backend']['type'] != 'disk':
        _check_database(sources, smallest, run)
        return
    if listed is not None:
        _check_list(key, listed, len(sources) == 2)
    elif section['type'] not in _FOLDERS_WITHIN_FOLDERS:
        _check_one_folder(section, sources)
    _check_files(key, {'scale': 1, 'phase': phase.split('_')[0], **section}, smallest, run)


def _check_names(source: PictureSource) -> None:
    """OpenCV dies, without a word, of writing a picture under a name that is not UTF-8, as old archives have them."""
    for name in source.names:
        try:
            name.encode('utf-8')
        except UnicodeEncodeError:
            raise UserError(f'{source.option_key}: {name!a} is no name in UTF-8; rename it, with convmv say') from None


def _check_template(key: str, template: str) -> None:
    try:
        name_template(template)
    except ValueError as cause:
        raise UserError(f'{key}:filename_tmpl: {template!r}: {cause}') from None


def _check_list(key: str, listed: str, are_pairs: bool) -> None:
    """BasicSR takes what stands before the first blank of each line for a name, even nothing."""
    try:
        with open(listed) as file:
            lines = list(file)
    except (OSError, UnicodeDecodeError) as cause:
        raise UserError(
            f'{key}:meta_info_file: {listed!r} cannot be read as text ({cause}); save it as UTF-8'
        ) from cause
    for number, line in enumerate(lines, 1):
        if not (line.strip() if are_pairs else line.rstrip()).split(' ')[0]:
            raise UserError(
                f'{key}:meta_info_file: {listed}, line {number}: begins with no name of a picture; take the line out, '
                'or the blanks in front of the name'
            )


def _smallest_side(phase: str, section: Mapping[str, Any]) -> int:
    if phase != 'train':
        return 1
    size = section.get('gt_size')
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise UserError(f'datasets:train:gt_size: {size!r}; give the side of the crops in pixels, as gt_size: 256')
    return size


def _check_database(sources: Mapping[str, PictureSource], smallest: int, run: RunChecks) -> None:
    lq, *others = sources.values()
    pairs = matched_pairs(lq, others[0]) if others else [(index, index) for index in range(len(lq))]
    decoded = decoded_ahead(len(pairs))

    def check(place: int, pair: tuple[int, int]) -> Callable[[], None]:
        def look() -> None:
            sizes = [
                (source.path(index), source.read(index).size if place in decoded else source.size(index))
                for source, index in zip((lq, *others), pair, strict=False)
            ]
            _check_sizes(sizes, lq.option_key, smallest)

        return look

    run([check(place, pair) for place, pair in enumerate(pairs)], with_bar)


def _check_files(key: str, section: Mapping[str, Any], smallest: int, run: RunChecks) -> None:
    """The files that the set will read."""
    paths = DATASET_REGISTRY.get(section['type'])(deepcopy(dict(section))).paths
    if not paths:
        raise UserError(f'{key}:meta_info_file: {section.get("meta_info_file")!r} names no picture')
    decoded = decoded_ahead(len(paths))

    def check(place: int, files: list[str]) -> Callable[[], None]:
        size_of = decoded_size if place in decoded else picture_size

        def look() -> None:
            for file in files:
                if section.get('meta_info_file') is not None and not Path(file).exists():
                    raise UserError(
                        f'{key}:meta_info_file: {section.get("meta_info_file")!r} makes for {file}, which is not there'
                    )
            _check_sizes([(file, size_of(key, file)) for file in files], key, smallest)

        return look

    files = [[entry] if isinstance(entry, str) else [entry['lq_path'], entry['gt_path']] for entry in paths]
    run([check(place, entry) for place, entry in enumerate(files)], with_bar)


def _check_sizes(pictures: list[tuple[str, Size]], key: str, smallest: int) -> None:
    (path, size), (twin, twin_size) = ((printable(name), size) for name, size in (pictures[0], pictures[-1]))
    if size != twin_size:
        raise UserError(
            f'{key}: {path} measures {size[0]}x{size[1]}, its sharp twin {twin} {twin_size[0]}x{twin_size[1]}; pairs '
            'must be of one size'
        )
    if min(size) < smallest:
        raise UserError(
            f'{key}: {path} measures {size[0]}x{size[1]}, less than a crop of gt_size {smallest}; take it out, or '
            'lower gt_size'
        )


def _check_one_folder(section: Mapping[str, Any], sources: Mapping[str, PictureSource]) -> None:
    """BasicSR looks into one folder, pairs by base name, and dies on an assertion where a file is alone."""
    ours = f'use type: {_FOLDERS_WITHIN_FOLDERS[0 if len(sources) == 2 else 1]}'
    for source in sources.values():
        nested = [name for name in source.names if '/' in name]
        if nested:
            raise UserError(
                f'{source.option_key}: {nested[0]} lies in a subfolder, which {section["type"]} does not see; {ours}'
            )
    files = {root: _files_of(source, section['type'], ours) for root, source in sources.items()}
    if len(sources) < 2:
        return
    lq, gt = sources['dataroot_lq'], sources['dataroot_gt']
    template = section.get('filename_tmpl', '{}')
    wanted = {f'{template.format(Path(name).stem)}{Path(name).suffix}' for name in files['dataroot_gt']}
    there = files['dataroot_lq']
    for alone, source, where in ((there - wanted, lq, gt), (wanted - there, gt, lq)):
        if alone:
            raise UserError(
                f'{source.option_key}: {min(alone)} has no twin of that name in {where.option_key} ({len(alone)} of '
                f'{len(source)} have none); type: PairedFolderDataset pairs without extension'
            )


def _files_of(source: PictureSource, set_type: str, ours: str) -> set[str]:
    """What BasicSR finds in a folder: every file, picture or not.

    Raises:
        UserError: if one has no name of a picture, or is a link that leads to none.
    """
    found = set()
    with os.scandir(source.root) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith('.'):
                continue
            is_named_so = entry.name.lower().endswith(IMG_EXTENSIONS)
            try:
                is_file = entry.is_file()
                what = None if is_file or entry.is_dir() or not is_named_so else 'is no file, nor a link to one'
            except OSError as cause:
                raise UserError(
                    f'{source.option_key}: {printable(entry.path)} cannot be looked at ({cause.strerror}); take it out'
                ) from cause
            if is_file and not is_named_so:
                what = (
                    f'is no picture by its name (they end in {", ".join(IMG_EXTENSIONS)}), and {set_type} takes every '
                    'file of the folder'
                )
            if what is not None:
                raise UserError(f'{source.option_key}: {printable(entry.path)} {what}; take it out, or {ours}')
            if is_file:
                found.add(entry.name)
    return found


def check_databases(datasets: Mapping[str, Mapping[str, Any]]) -> None:
    """LMDB opens a database once in a process; our own data sets share it, BasicSR's do not.

    Args:
        datasets: that section of an option file.

    Raises:
        UserError: if one of BasicSR's sets shares its database.
    """
    opened: dict[Path, tuple[str, str]] = {}
    for phase, section in datasets.items():
        backend = section.get('io_backend')
        if not isinstance(backend, Mapping) or backend.get('type') != 'lmdb':
            continue
        for root in sorted(name for name in section if name.startswith('dataroot_') and isinstance(section[name], str)):
            key, kind = f'datasets:{phase}:{root}', str(section.get('type'))
            other, other_kind = opened.setdefault(Path(section[root]).resolve(), (key, kind))
            basicsrs = next((name for name in (kind, other_kind) if name in _OURS_INSTEAD), None)
            if other != key and basicsrs is not None:
                raise UserError(
                    f'{key}: {section[root]} is the LMDB of {other}, too, and {basicsrs} cannot share one; use type: '
                    f'{_OURS_INSTEAD[basicsrs]}'
                )
