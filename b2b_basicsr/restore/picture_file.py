"""Picture files: what of them goes through networks, and what stays as it is."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import pyvips
from numpy.typing import NDArray

from b2b_basicsr.errors import UserError
from b2b_basicsr.picture_content import refuse_bomb
from b2b_basicsr.regular_file import require_regular_file
from b2b_basicsr.restore import jpeg_segments, png_chunks, webp_chunks
from b2b_basicsr.restore.tiff_file import write_tiff
from b2b_basicsr.whole_file import whole_file

DEFAULT_QUALITY = 95
"""Of JPEG and lossy WebP, in percent."""

Samples = NDArray[Any]
"""uint8 or uint16."""

Made = TypeVar('Made')

_GREY, _COLOUR = {'b-w', 'grey16'}, {'srgb', 'rgb', 'rgb16'}
_TURNED = (5, 6, 7, 8)
_DEPTHS = {'uchar': np.uint8, 'ushort': np.uint16}


@dataclass(frozen=True)
class PictureFile:
    """A picture as it is shown.

    Args:
        path: the file.
        format: by its content: ``jpeg``, ``png``, ``tiff`` or ``webp``.
        lossless: whether its format, as it was used, keeps every sample.
        samples: uint8 or uint16 [h, w, 1 to 4]: grey or RGB, the last of an even number being alpha.
        turned: whether its width and height are the file's height and width.
    """

    path: Path
    format: str
    lossless: bool
    samples: Samples
    turned: bool

    def rgb(self) -> Samples:
        """uint8 or uint16 [h, w, 3], without alpha; grey is given to all three."""
        if self._colours == 1:
            return np.repeat(self.samples[..., :1], 3, axis=2)
        return np.ascontiguousarray(self.samples[..., :3])

    def with_rgb(self, rgb: Samples) -> Samples:
        """Another picture's colours in the channels of this one.

        Args:
            rgb: of the size and depth of :meth:`rgb`.

        Returns:
            As ``samples``: grey where this one is grey (luma, ITU-R BT.601), with this one's alpha untouched.
        """
        colours = _luma(rgb) if self._colours == 1 else rgb
        alpha = self.samples[..., self._colours :]
        return np.concatenate((colours, alpha), axis=2) if alpha.shape[2] else colours

    @property
    def _colours(self) -> int:
        return 1 if self.samples.shape[2] < 3 else 3


def read_picture(path: Path) -> PictureFile:
    """Reads a JPEG, PNG, TIFF or WebP of 8 or 16 bits, grey or RGB, with or without alpha, EXIF orientation applied.

    Palettes become RGB, and fewer than 8 bits become 8.

    Raises:
        UserError: if it is none of these, truncated, broken, too large, or holds several pictures.
        OSError: if the file cannot be read.
    """
    require_regular_file(path)
    kind = _format_of(path)
    try:
        samples, orientation = _by_libvips(lambda: _samples_of(path, kind))
    except pyvips.Error as cause:
        raise UserError(f'cannot be read as a picture ({_said(cause)}); mend it or leave it out') from cause
    if samples.ndim == 2:
        samples = samples[..., None]
    return PictureFile(path, kind, _is_lossless(path, kind), samples, turned=orientation in _TURNED)


def _samples_of(path: Path, kind: str) -> tuple[Samples, int]:
    """As they are shown, and the EXIF orientation that they had."""
    loaded = _load(path, kind)
    refuse_bomb((loaded.width, loaded.height))
    pages = loaded.get('n-pages') if loaded.get_typeof('n-pages') else 1
    if kind == 'png':
        pages = _frames_of_png(path)  # libvips knows the first alone
    if pages > 1:
        raise UserError(f'holds {pages} pictures (pages or an animation); save them one by one')
    _refuse_other_samples(loaded)
    orientation = loaded.get('orientation') if loaded.get_typeof('orientation') else 1
    if orientation != 1:
        loaded = loaded.copy_memory().autorot()
    return loaded.numpy(), orientation


def write_picture(out: Path, samples: Samples, like: PictureFile, quality: int = DEFAULT_QUALITY) -> None:
    """Writes a picture in the format of another, with its metadata and colour profile; whole or not at all.

    Args:
        out: the file; replaced if it is there.
        samples: of the size, depth and channels of ``like``.
        like: the picture that it was made from.
        quality: of JPEG (always with full colour resolution) and lossy WebP, in percent.

    Raises:
        UserError: if the format cannot hold it.
        OSError: if it cannot be written.
    """
    with whole_file(out) as temporary:
        if like.format == 'tiff':
            write_tiff(temporary, samples, like.path, like.turned)
            return
        picture = _as_vips(samples)
        with like.path.open('rb') as source, temporary.open('wb') as file:
            if like.format in ('jpeg', 'png'):
                save, with_metadata_of = _STREAMED[like.format]
                with tempfile.TemporaryFile(dir=out.parent) as pixels:  # in memory it would grow with the picture
                    _saved(lambda: save(picture, _emptied(pixels), quality, 8 * samples.itemsize), out)
                    file.writelines(with_metadata_of(source, pixels, like.turned))
            else:
                webp = _saved(
                    lambda: picture.webpsave_buffer(
                        Q=quality, lossless=like.lossless, exact=like.lossless, smart_subsample=True, keep='none'
                    ),
                    out,
                )
                size, alpha = (samples.shape[1], samples.shape[0]), samples.shape[2] == 4
                file.write(webp_chunks.with_chunks_of(source, io.BytesIO(webp), size, alpha, like.turned))


def _emptied(file: IO[bytes]) -> pyvips.Target:
    file.seek(0)
    file.truncate()
    return pyvips.Target.new_to_descriptor(file.fileno())


def _save_jpeg(picture: pyvips.Image, target: pyvips.Target, quality: int, depth: int) -> None:
    picture.jpegsave_target(target, Q=quality, subsample_mode='off', keep='none')


def _save_png(picture: pyvips.Image, target: pyvips.Target, quality: int, depth: int) -> None:
    picture.pngsave_target(target, bitdepth=depth, palette=False, compression=6, keep='none')


_STREAMED = {
    'jpeg': (_save_jpeg, jpeg_segments.with_segments_of),
    'png': (_save_png, png_chunks.with_chunks_of),
}


def write_png(out: Path, rgb: Samples) -> None:
    """Writes a PNG without metadata; whole or not at all.

    Args:
        out: the file; replaced if it is there.
        rgb: uint8 or uint16 [h, w, 3].

    Raises:
        UserError: if PNG cannot hold it.
        OSError: if it cannot be written.
    """
    with whole_file(out) as temporary:
        _saved(lambda: _as_vips(rgb).pngsave(str(temporary), compression=3), out)


def as_8_bits(samples: Samples) -> NDArray[np.uint8]:
    """Samples of 8 or 16 bits as the nearest of 8 bits."""
    if samples.dtype == np.uint8:
        return samples.astype(np.uint8, copy=False)
    return ((samples.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def _format_of(path: Path) -> str:
    with path.open('rb') as file:
        start = file.read(16)
    if start.startswith(b'\xff\xd8\xff'):
        return 'jpeg'
    if start.startswith(b'\x89PNG\r\n\x1a\n'):
        return 'png'
    if start.startswith((b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')):
        return 'tiff'
    if start.startswith(b'RIFF') and start[8:12] == b'WEBP':
        return 'webp'
    raise UserError('is no JPEG, PNG, TIFF or WebP inside; convert it or leave it out')


def _load(path: Path, kind: str) -> pyvips.Image:
    # by source: libvips takes what stands in brackets at the end of a file name for options
    source = pyvips.Source.new_from_file(str(path))
    load: Callable[..., pyvips.Image] = getattr(pyvips.Image, f'{kind}load_source')
    return load(source, access='sequential', fail_on='error')


def _refuse_other_samples(picture: pyvips.Image) -> None:
    if picture.interpretation == 'cmyk':
        raise UserError('is a CMYK picture, for print; convert it to RGB by its profile first')
    grey = picture.interpretation in _GREY and picture.bands in (1, 2)
    colour = picture.interpretation in _COLOUR and picture.bands in (3, 4)
    if picture.format not in _DEPTHS or not (grey or colour):
        raise UserError(
            f'has {picture.bands} channels of {picture.format} ({picture.interpretation}); grey and RGB of 8 and 16 '
            'bits can be restored, with or without alpha: convert it'
        )


def _frames_of_png(path: Path) -> int:
    """The number of frames of an animated PNG; 1 of any other."""
    with path.open('rb') as file:
        file.seek(8)
        while len(start := file.read(8)) == 8 and start[4:] != b'IDAT':
            if start[4:] == b'acTL':
                return int.from_bytes(file.read(4), 'big')
            file.seek(int.from_bytes(start[:4], 'big') + 4, os.SEEK_CUR)
    return 1


def _is_lossless(path: Path, kind: str) -> bool:
    if kind != 'webp':
        return kind != 'jpeg'
    with path.open('rb') as file:
        return any(True for _ in webp_chunks.webp_chunks(file, (b'VP8L',)))


def _as_vips(samples: Samples) -> pyvips.Image:
    deep = samples.dtype == np.uint16
    grey = samples.shape[2] < 3
    interpretation = {(True, True): 'grey16', (True, False): 'b-w', (False, True): 'rgb16', (False, False): 'srgb'}[
        grey, deep
    ]
    return pyvips.Image.new_from_array(np.ascontiguousarray(samples), interpretation=interpretation)


def _saved(save: Callable[[], Any], out: Path) -> Any:
    try:
        return _by_libvips(save)
    except pyvips.Error as cause:
        raise UserError(f'cannot be written to {out} ({_said(cause)})') from cause


class _Threads:
    """Those that use libvips, together or one alone."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._together = 0
        self._alone = 0  # that are, or wait to be

    @contextmanager
    def together(self) -> Iterator[None]:
        with self._change:
            self._change.wait_for(lambda: not self._alone)
            self._together += 1
        try:
            yield
        finally:
            with self._change:
                self._together -= 1
                self._change.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._change:
            self._alone += 1
            try:
                self._change.wait_for(lambda: not self._together)
                yield  # within the lock, for which all others wait
            finally:
                self._alone -= 1
                self._change.notify_all()


_threads = _Threads()


def _by_libvips(call: Callable[[], Made]) -> Made:
    """What a call gives, or the error that libvips makes in it.

    libvips collects what it has to say of errors in one place for all threads. What fails beside another thread is
    therefore done again, alone, where it says why.

    Args:
        call: may be called twice.

    Raises:
        pyvips.Error: that it makes alone.
    """
    with suppress(pyvips.Error), _threads.together():
        return call()
    with _threads.alone():
        pyvips.vips_lib.vips_error_clear()
        return call()


def _said(cause: pyvips.Error) -> str:
    """The last line of what libvips said, which is the innermost cause or its consequence."""
    lines = [line.strip() for line in f'{cause.detail or cause.message}'.splitlines() if line.strip()]
    return '; '.join(dict.fromkeys(lines)) or 'unknown cause'


def _luma(rgb: Samples) -> Samples:
    red, green, blue = (rgb[..., channel].astype(np.uint32) for channel in range(3))
    # ITU-R BT.601 in 1/65536, of which the sum is 65536: grey stays what it is
    luma: Samples = ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16).astype(rgb.dtype)
    return luma[..., None]
