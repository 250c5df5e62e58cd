"""What a folder of `b2b bench gain` is made of: one folder of photographs, one file of kernels, one size."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.errors import UserError
from b2b_basicsr.gain.measured_kernels import Kernel, load_kernels
from b2b_basicsr.gain.recipes import SIZES
from b2b_basicsr.gain.results import MANIFEST
from b2b_basicsr.gain.stage_lock import stage_lock
from b2b_basicsr.losses.imagenet_weights import kept_file
from b2b_basicsr.prepare.write_errors import cannot_write
from b2b_basicsr.whole_file import whole_file

SIMULATED = 'simulated'
"""Stands for kernels that come from no file."""

DEFAULT_SIZE = 'cpu'

_DIGITS = 16


@dataclass(frozen=True)
class Manifest:
    """What results must have in common to be compared.

    Args:
        photos: digest of the photographs' names and sizes: 16 hexadecimal digits, the same on all machines.
        kernels: digest of the kernel file, or ``simulated``.
        size: name of the size.
        lpips: whether tests measure LPIPS, as its weights were there when the folder was begun.
    """

    photos: str
    kernels: str
    size: str
    lpips: bool = False


def digest(content: bytes) -> str:
    """The first 16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def lpips_weights() -> Path:
    """Where the weights that LPIPS takes lie, if they are there."""
    return kept_file('alexnet')


def photographs(folder: Path) -> dict[str, int]:
    """The pictures of a folder, of any depth: relative path -> size in bytes.

    Raises:
        UserError: if there is no such folder, or no picture in it.
    """
    source = PictureSource('--photos', str(folder), {'type': 'disk'})
    return {name: Path(source.path(place)).stat().st_size for place, name in enumerate(source.names)}


def take_manifest(out: Path, photos: Path | None, kernels: Path | None, size: str | None) -> Manifest:
    """That of a folder; made where there is none, with a copy of the kernel file beside it.

    Args:
        out: the benchmark's folder.
        photos: folder of photographs; ``None``: those that ``out`` was made of.
        kernels: kernel file; ``None``: that of ``out``, or simulated kernels.
        size: name of the size; ``None``: that of ``out``, or ``cpu``.

    Raises:
        UserError: if one of them is another than what ``out`` was made of, or missing, or cannot be read.
    """
    asked = expected_manifest(out, photos, kernels, size)
    if read_manifest(out) is None and photos is not None:
        _begin_alone(out, asked, photographs(photos), kernels)
        asked = expected_manifest(out, photos, kernels, size)  # another process's, if that was quicker
    if kernels is not None and _kernel_copy(out, asked) is None:
        with _writing(out):
            _keep_kernels(out, kernels)
    return asked


def expected_manifest(out: Path, photos: Path | None, kernels: Path | None, size: str | None) -> Manifest:
    """That of a folder, or what :func:`take_manifest` would make of it; writes nothing.

    Args:
        out: the benchmark's folder.
        photos: as there.
        kernels: as there.
        size: as there.

    Raises:
        UserError: as there.
    """
    if kernels is not None:
        load_kernels(kernels)
    there = read_manifest(out)
    files = None if photos is None else photographs(photos)
    if there is None:
        if files is None:
            raise UserError(f'--photos: missing; {out} is new, and is made of a folder of photographs')
        name = SIMULATED if kernels is None else digest(kernels.read_bytes())
        return Manifest(_photos_digest(files), name, size or DEFAULT_SIZE, lpips_weights().is_file())
    if files is not None and _photos_digest(files) != there.photos:
        raise UserError(f'--photos: {photos} {_difference(out, files)}; give another -o for it')
    if kernels is not None and digest(kernels.read_bytes()) != there.kernels:
        made = 'simulated kernels' if there.kernels == SIMULATED else 'another kernel file'
        raise UserError(f'--kernels: {out} was made with {made}; give another -o for {kernels}')
    if size not in (None, there.size):
        raise UserError(f'--size: {out} is of size {there.size}; give another -o for {size}')
    return there


def read_manifest(out: Path) -> Manifest | None:
    """That of a folder; ``None`` where there is none.

    Raises:
        UserError: if it is damaged.
    """
    content = _content(out)
    if content is None:
        return None
    lpips = bool(content.get('lpips', lpips_weights().is_file()))  # an older version did not keep it
    return Manifest(str(content['photos']), str(content['kernels']), str(content['size']), lpips)


def kernels_of(out: Path, manifest: Manifest, given: Path | None = None) -> list[Kernel] | None:
    """The kernels that a folder is made with; ``None``: simulated ones.

    Args:
        out: the benchmark's folder.
        manifest: its manifest.
        given: the kernel file, if it is at hand; ``None``: the copy in ``out`` is read.

    Raises:
        UserError: if there is no whole copy of the file that the manifest names.
    """
    if manifest.kernels == SIMULATED:
        return None
    if given is not None:
        return load_kernels(given)
    copy = _kernel_copy(out, manifest)
    if copy is None:
        raise UserError(
            f'{out / "data"}: the kernel file it was made with is not there or damaged; give --kernels FILE with it'
        )
    return load_kernels(copy)


def _kernel_copy(out: Path, manifest: Manifest) -> Path | None:
    """By its content: others may be left of runs that were killed."""
    files = (file for file in sorted((out / 'data').glob('kernels*')) if file.is_file())
    return next((file for file in files if digest(file.read_bytes()) == manifest.kernels), None)


def _content(out: Path) -> Mapping[str, Any] | None:
    path = _manifest_file(out)
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        if not (isinstance(content, dict) and {'photos', 'kernels', 'size', 'files'} <= content.keys()):
            raise ValueError('keys are missing')
        if not isinstance(content['files'], dict):
            raise ValueError('files is no list of names and sizes')
        if content['size'] not in list(SIZES):
            raise ValueError(f'size {content["size"]!r} is none of {", ".join(SIZES)}')
    except (OSError, ValueError) as cause:
        raise UserError(f'{path}: cannot be read ({cause}); give another -o, or put the file back') from cause
    return content


def _begin_alone(out: Path, manifest: Manifest, files: Mapping[str, int], kernels: Path | None) -> None:
    """Begins a folder, unless another process has meanwhile."""
    with _writing(out), stage_lock(out / 'locks' / 'photographs.lock', lambda: None):
        if read_manifest(out) is None:
            _begin(out, manifest, files, kernels)


def _begin(out: Path, manifest: Manifest, files: Mapping[str, int], kernels: Path | None) -> None:
    if kernels is not None:
        _keep_kernels(out, kernels)
    with whole_file(_manifest_file(out)) as temporary:
        temporary.write_text(json.dumps({**asdict(manifest), 'files': dict(files)}, indent=1), encoding='utf-8')


def _keep_kernels(out: Path, kernels: Path) -> None:
    with whole_file(out / 'data' / f'kernels{kernels.suffix}') as temporary:
        shutil.copyfile(kernels, temporary)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        raise cannot_write(out, cause) from cause


def _manifest_file(out: Path) -> Path:
    return out / MANIFEST


def _photos_digest(files: Mapping[str, int]) -> str:
    return digest(json.dumps(sorted(files.items())).encode())


def _difference(out: Path, files: Mapping[str, int]) -> str:
    content = _content(out)
    before = content['files'] if content is not None else {}
    found = {
        'has': [name for name in files if name not in before],
        'lacks': [name for name in before if name not in files],
        'has in another size': [name for name in files if name in before and before[name] != files[name]],
    }
    said = [f'{what} {len(names)} ({names[0]})' for what, names in found.items() if names]
    return f'is not the photographs that {out} was made of: it {" and ".join(said)}'
