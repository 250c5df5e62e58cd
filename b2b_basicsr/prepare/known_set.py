"""A set of known pictures K, made once and written to disk."""

from __future__ import annotations

import hashlib
import io
import platform
import shutil
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import torch
from PIL import Image
from tqdm import tqdm

from b2b_basicsr import __version__
from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.known_manifest import NAME, KnownManifest
from b2b_basicsr.prepare.known_source import KnownSource, Levels
from b2b_basicsr.prepare.picture_lmdb import write_picture_lmdb
from b2b_basicsr.prepare.prepared_set import check_target
from b2b_basicsr.prepare.set_lock import locked
from b2b_basicsr.prepare.untrusted_members import safe_key_parts
from b2b_basicsr.prepare.write_errors import cannot_write
from b2b_basicsr.whole_file import clear_leftovers, whole_file

_LIBRARIES = ('torch', 'numpy', 'pillow')


def picture_seed(seed: int, name: str, copy: int) -> int:
    """A picture's own seed, whatever pictures there are besides.

    Example:
        >>> picture_seed(0, 'scene/0.png', 0) == picture_seed(0, 'scene/0.png', 1)
        False
    """
    digest = hashlib.sha256(f'{seed}\n{copy}\n{name}'.encode(errors='surrogateescape')).digest()
    return int.from_bytes(digest[:7], 'big')


def write_known_set(source: KnownSource, out: Path, seed: int, copies: int) -> int:
    """Makes every picture of K that is not there yet; the set gets its name when it is whole.

    Until then it is ``.NAME.partial`` beside it, where a stopped run goes on. Names are those of S, with ``.png``, and
    ``_0``, ``_1``, ... before it with more than one copy; K is a database where ``out`` ends in ``.lmdb``.

    Args:
        source: makes the pictures.
        out: the set to be; must not be there.
        seed: of every random choice, with the picture's name.
        copies: pictures made of each sharp one.

    Returns:
        The number of pictures.

    Raises:
        UserError: if ``out`` is there, was begun with other settings, a picture cannot be read, or the disk is full.
    """
    out = out.absolute()
    if out.exists():
        raise UserError(f'{out}: is there already; delete it, or give another -o')
    check_target(out, source.roots, force=False)
    with locked(out):
        partial = out.with_name(f'.{out.name}.partial')
        pictures = partial / 'pictures'
        try:
            partial.mkdir(exist_ok=True)
            manifest = KnownManifest(partial, pictures, _header(source, seed, copies))
            count = _make_missing(source, manifest, pictures, seed, copies)
            _give_name(out, partial, pictures)
        except OSError as cause:
            raise UserError(f'{cannot_write(out, cause)}; the same command goes on') from cause
    return count


def _header(source: KnownSource, seed: int, copies: int) -> dict[str, Any]:
    device = torch.cuda.get_device_name(source.device) if source.device.type == 'cuda' else platform.machine()
    return {
        **source.describe(),
        'seed': seed,
        'copies': copies,
        'resize': source.settings.resize,
        'sharp': {'root': str(source.sharp.root), 'ratio': source.settings.ratio},
        'device': f'{source.device.type} ({device}, {torch.get_num_threads()} threads)',
        'versions': {'b2b_basicsr': __version__, **{name: version(name) for name in _LIBRARIES}},
    }


def _make_missing(source: KnownSource, manifest: KnownManifest, pictures: Path, seed: int, copies: int) -> int:
    wanted = [(place, copy, _target(source, place, copy, copies)) for place in source.places for copy in range(copies)]
    targets = [target for _, _, target in wanted]
    if len(set(targets)) != len(targets):
        twice = next(target for target in targets if targets.count(target) > 1)
        raise UserError(f'{source.sharp.root}: two pictures would both be {twice} in K; rename one')
    foreign = sorted(manifest.done.keys() - set(targets))
    if foreign:
        raise UserError(
            f'{pictures.parent}: {foreign[0]} was made of a picture that S has no more; delete it to begin again'
        )
    clear_leftovers(pictures.parent, and_below=True)
    missing = [entry for entry in wanted if entry[2] not in manifest.done]
    bar = tqdm(missing, desc='making K', unit='picture', initial=len(wanted) - len(missing), total=len(wanted))
    for place, copy, target in bar:
        name = source.sharp.names[place]
        own_seed = picture_seed(seed, name, copy)
        picture, details = source.make(place, own_seed)
        digest = _write_png(picture, pictures / target)
        manifest.add({'picture': target, 'sharp': name, 'seed': own_seed, **details, 'sha256': digest})
    return len(wanted)


def _target(source: KnownSource, place: int, copy: int, copies: int) -> str:
    name = source.sharp.names[place]
    # Keys in a database are escaped, and have no extension: what follows a dot in them is not one.
    stem = unquote(name) if source.sharp.root.suffix == '.lmdb' else PurePosixPath(name).with_suffix('').as_posix()
    *folders, last = safe_key_parts(stem)
    return PurePosixPath(*folders, f'{last}{f"_{copy}" if copies > 1 else ""}.png').as_posix()


def _write_png(picture: Levels, path: Path) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, 'png')
    with whole_file(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def _give_name(out: Path, partial: Path, pictures: Path) -> None:
    """From the folder of a run to the set: each step may be the last of a run that is killed."""
    if out.suffix == '.lmdb':
        database = partial / out.name
        shutil.rmtree(database, ignore_errors=True)
        shutil.rmtree(partial / f'.{out.name}.partial', ignore_errors=True)
        size = sum(file.stat().st_size for file in pictures.rglob('*.png'))
        with tqdm(total=size, desc='into LMDB', unit='B', unit_scale=True) as bar:
            write_picture_lmdb(pictures, database, bar.update)
        shutil.copyfile(partial / NAME, database / NAME)
        database.rename(out)
        shutil.rmtree(partial)
        return
    shutil.copyfile(partial / NAME, pictures / NAME)
    pictures.rename(out)
    shutil.rmtree(partial)
