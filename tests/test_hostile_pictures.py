"""Picture files that somebody, or a bad disk, has changed: each is read rightly or refused in one line.

Cases are made up by hypothesis: 150 a test, or 1500 with HYPOTHESIS_PROFILE=thorough.
"""

from __future__ import annotations

import resource
import signal
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
from basicsr.utils import imfrombytes
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from b2b_basicsr.data.lmdb_clients import close_lmdb_clients
from b2b_basicsr.data.picture_checks import decode_checks, run_checks
from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.data.random_crop import RandomCrop, resized
from b2b_basicsr.data.sources_as_file_client import SourcesAsFileClient
from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.picture_lmdb import write_picture_lmdb
from b2b_basicsr.prepare.select_scores import ScoredSet
from b2b_basicsr.records.picture_scores import ScoredPicture
from b2b_basicsr.report.embedded_pictures import Encoding, embed
from b2b_basicsr.restore.inputs import Job
from b2b_basicsr.restore.picture_file import read_picture
from b2b_basicsr.restore.restore_files import RestoreSettings, restore_files
from tests.picture_kinds import KINDS, png_chunk
from tests.restore.conftest import Identity

_SECONDS_A_CASE = 20
_MOST_PIXELS = 4_000_000
_PEAK = 250_000  # KB more than before
_PNG = b'\x89PNG\r\n\x1a\n'
_MAGICS = (
    *(_PNG, _PNG + b'\0\0\0\rIHDR', b'\xff\xd8\xff\xe0\0\x10JFIF\0', b'\xff\xd8\xff\xe1', b'II*\0\x08\0\0\0'),
    *(b'MM\0*\0\0\0\x08', b'II+\0\x08\0\0\0', b'RIFF\x40\0\0\0WEBPVP8 ', b'RIFF\x40\0\0\0WEBPVP8L'),
    *(b'RIFF\xff\xff\xff\xffWEBPVP8X', b'BM', b'GIF89a', b'P6\n', b'P5 9999999 9999999 255\n', b'P4\n'),
)
_NUMBERS = (0, 1, 2, 7, 255, 256, 30000, 65535, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)


def _sound_files() -> dict[str, bytes]:
    sound = (
        *('JPEG', 'PNG', 'WebP', 'TIFF', 'BMP', 'PPM, PGM', 'GIF under another name', 'palette', '1 bit', 'with alpha'),
        *('palette with transparency', 'RGB of 16 bits', 'grey of 16 bits', '16 bits with alpha', 'CMYK'),
        *('turned by EXIF', 'colour profile', 'several pictures: pages, animations'),
        *('samples of 32 bits or floating point', 'animated GIF under another name'),
    )
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in sound:
            for name, write in KINDS[kind].items():
                path = write(Path(folder))
                files[f'{kind}: {name}'] = path.read_bytes()
                path.unlink()
    return files


_SOUND = _sound_files()


@pytest.fixture(autouse=True, scope='module')
def _a_low_limit() -> Iterator[None]:
    """So that a case above the limit is one that cannot be missed, and one below it takes no time."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, _MOST_PIXELS // 2
    yield
    Image.MAX_IMAGE_PIXELS = before


_place = st.integers(0, 1 << 16)
_head = st.integers(0, 80)
_bytes = st.binary(min_size=1, max_size=24)


def _flipped(content: bytes, place: int, mask: int) -> bytes:
    place %= len(content)
    return content[:place] + bytes((content[place] ^ mask,)) + content[place + 1 :]


def _cut(content: bytes, place: int) -> bytes:
    return content[: place % len(content)]


def _without(content: bytes, place: int, length: int) -> bytes:
    place %= len(content)
    return content[:place] + content[place + length :]


def _twice(content: bytes, place: int, length: int) -> bytes:
    place %= len(content)
    return content[: place + length] + content[place:]


def _with(content: bytes, place: int, more: bytes) -> bytes:
    place %= len(content)
    return content[:place] + more + content[place:]


def _numbered(content: bytes, place: int, number: int, length: int, order: Any) -> bytes:
    place %= len(content)
    return content[:place] + (number % (1 << 8 * length)).to_bytes(length, order) + content[place + length :]


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    chunks, place = [], len(_PNG)
    while place + 8 <= len(content):
        end = place + 8 + int.from_bytes(content[place : place + 4], 'big')
        chunks.append((content[place + 4 : place + 8], content[place + 8 : end]))
        place = end + 4
    return chunks


def _with_right_checksums(content: bytes) -> bytes:
    return _PNG + b''.join(png_chunk(*chunk) for chunk in _chunks(content)) if content.startswith(_PNG) else content


def _chunks_moved(content: bytes, first: int, second: int, how: str) -> bytes:
    if not content.startswith(_PNG):
        return content
    chunks = _chunks(content) or [(b'IEND', b'')]
    first, second = first % len(chunks), second % len(chunks)
    if how == 'swap':
        chunks[first], chunks[second] = chunks[second], chunks[first]
    elif how == 'twice':
        chunks.insert(second, chunks[first])
    elif how == 'drop':
        del chunks[first]
    else:
        chunks.insert(1, (b'zTXt', b'XML:com.adobe.xmp\0\0' + zlib.compress(bytes(1 << 20))))
    return _PNG + b''.join(png_chunk(*chunk) for chunk in chunks)


_changes: st.SearchStrategy[Callable[[bytes], bytes]] = st.one_of(
    st.builds(lambda *how: lambda content: _flipped(content, *how), _place, st.integers(1, 255)),
    st.builds(lambda *how: lambda content: _flipped(content, *how), _head, st.integers(1, 255)),
    st.builds(lambda *how: lambda content: _cut(content, *how), _place),
    st.builds(lambda *how: lambda content: _without(content, *how), _place, st.integers(1, 300)),
    st.builds(lambda *how: lambda content: _twice(content, *how), _place, st.integers(1, 300)),
    st.builds(lambda *how: lambda content: _with(content, *how), _place, _bytes),
    st.builds(
        lambda *how: lambda content: _numbered(content, *how),
        st.one_of(_head, _place),
        st.sampled_from(_NUMBERS),
        st.sampled_from((2, 4)),
        st.sampled_from(('big', 'little')),
    ),
    st.builds(
        lambda *how: lambda content: _chunks_moved(content, *how),
        st.integers(0, 9),
        st.integers(0, 9),
        st.sampled_from(('swap', 'twice', 'drop', 'text')),
    ),
    st.just(_with_right_checksums),
)


@st.composite
def _hostile(draw: st.DrawFn) -> bytes:
    """A sound file changed in one to five ways, or noise behind a right beginning."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(_MAGICS)) + draw(st.binary(max_size=400))
    content = _SOUND[draw(st.sampled_from(sorted(_SOUND)))]
    for change in draw(st.lists(_changes, min_size=1, max_size=5)):
        content = change(content) if content else content
    return content


_hostile_files = _hostile()


@contextmanager
def _case(content: bytes, name: str = 'picture.png') -> Iterator[Path]:
    """The file, in a folder of its own; neither time nor memory may run away."""

    def give_up(*_: object) -> None:
        raise TimeoutError(f'took more than {_SECONDS_A_CASE} s')

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    earlier = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(_SECONDS_A_CASE)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'in' / name
            path.parent.mkdir()
            path.write_bytes(content)
            yield path
            assert path.read_bytes() == content
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, earlier)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < _PEAK


def _is_refused(do: Callable[[], object]) -> bool:
    return _or_refused(lambda: (do(),)) is None


def _or_refused(do: Callable[[], Any]) -> Any:
    """What it gives; ``None`` if it is refused in one line that names the file."""
    try:
        return do()
    except UserError as error:
        said = str(error)
    assert '\n' not in said
    assert 'picture' in said
    return None


def _check_reading(source: PictureSource) -> Any:
    size = _or_refused(lambda: source.size(0))
    picture = _or_refused(lambda: source.read(0))
    crop = None
    if size is not None and min(size) <= 1000:
        # Rather a crop of what is made much larger than of what would be refused as too small.
        place = RandomCrop.draw(resized(size, 48), 32, np.random.default_rng(0))
        crop = _or_refused(lambda: place.cut(source.open(0)))
        assert crop is None or (crop.shape, crop.dtype) == ((32, 32, 3), np.uint8)
    if picture is not None:
        assert picture.mode == 'RGB'
        assert picture.size == size
        if crop is not None:
            assert np.array_equal(crop, place.cut(picture))
    return picture


@given(_hostile_files)
@example(b'')
def test_training_and_validation(content: bytes) -> None:
    with _case(content) as path:
        source = PictureSource('key', str(path.parent), {'type': 'disk'})
        picture = _check_reading(source)
        refused = _is_refused(lambda: run_checks(decode_checks(source)))
        shown = _or_refused(lambda: SourcesAsFileClient({'lq': source}).get(source.stored_at(0), 'lq'))
        assert (picture is None) == refused == (shown is None)
        if picture is not None:
            levels = imfrombytes(shown, float32=True)
            assert levels.dtype == np.float32
            assert np.array_equal(np.rint(levels[..., ::-1] * 255), np.asarray(picture))


@given(_hostile_files)
def test_an_lmdb_gives_what_the_file_gives(content: bytes) -> None:
    with _case(content) as path:
        picture = _or_refused(lambda: PictureSource('key', str(path.parent), {'type': 'disk'}).read(0))
        packed = path.parent.with_name('in.lmdb')
        if _is_refused(lambda: write_picture_lmdb(path.parent, packed, lambda _: None)):
            packed = path.parent.with_name('again.lmdb')
            with lmdb.open(str(packed), map_size=1 << 20) as database, database.begin(write=True) as writing:
                writing.put(b'picture', content)
            (packed / 'meta_info.txt').write_text('picture.png (1,1,3) 1\n')
        try:
            again = _check_reading(PictureSource('key', str(packed), {'type': 'lmdb'}))
        finally:
            close_lmdb_clients()
        assert (again is None) == (picture is None)
        assert again is None or again.tobytes() == picture.tobytes()


@given(_hostile_files, st.sampled_from(('.png', '.jpg', '.tif', '.webp')))
def test_restoring(content: bytes, suffix: str) -> None:
    with _case(content, f'picture{suffix}') as path:
        out = path.parent.with_name('out')
        network, said = Identity(), list[str]()
        job = Job(path, out / path.name)
        outcome = restore_files([job], network, RestoreSettings(direct=True), said.append, show_bar=False)
        left = sorted(out.iterdir()) if out.exists() else []
        if outcome.failed:
            assert left == []
            assert len(said) == 1
            assert '\n' not in said[0]
            assert 'please report this' not in said[0]
        else:
            assert left == [job.result]
            before, after = read_picture(path), read_picture(job.result)
            assert (after.format, after.samples.shape, after.samples.dtype) == (
                before.format,
                before.samples.shape,
                before.samples.dtype,
            )
            assert before.lossless <= bool(np.array_equal(after.samples, before.samples))


@given(_hostile_files)
def test_scores_and_reports(content: bytes) -> None:
    with _case(content) as path:
        source = PictureSource('key', str(path.parent), {'type': 'disk'})
        score = _or_refused(lambda: ScoredSet(source, None, None).score(0, None))
        assert score is None or 0 <= score.blur <= 1
        shown = embed(ScoredPicture('picture', {}, {'lq': path}), Encoding(max_side=256))
        assert (shown is None) == (_or_refused(lambda: source.read(0)) is None)
        if shown is not None:
            assert max(shown.width, shown.height) <= 256
            assert shown.layers[0].source.startswith('data:image/webp;base64,')


@pytest.mark.parametrize('name', sorted(_SOUND))
def test_what_is_changed_is_sound_before(name: str) -> None:
    with _case(_SOUND[name]) as path:
        picture = _check_reading(PictureSource('key', str(path.parent), {'type': 'disk'}))
        assert (picture is None) == name.startswith('samples of 32 bits')
