"""Translate, then deblur: a trained translator before the deblurrer it was trained for, on any picture."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from b2b_basicsr.errors import UserError
from b2b_basicsr.models.compilation import compile_in_place, missing_for_compile
from b2b_basicsr.restore.network_file import DEBLURRER_SECTIONS, TRANSLATOR_SECTIONS, network_from_file
from b2b_basicsr.restore.precision import Precision, check_precision, computing_in, prepared_for, refuse_overflow
from b2b_basicsr.restore.tile_size import (
    SMALLEST_AUTOMATIC_TILE,
    TILE_ON_CPU,
    WHOLE_ON_CPU,
    automatic_batch,
    automatic_tile,
    pixels_that_fit,
)
from b2b_basicsr.tiling import ALIGNMENT, DEFAULT_OVERLAP, tile_starts, tiled_bands

Picture = TypeVar('Picture', bound='Tensor | NDArray[Any]')
Tile = int | Literal['auto'] | None
TileBatch = int | Literal['auto']
Networks = tuple[tuple[str, nn.Module], ...]
Usual = tuple[int, int, int]
"""How many tiles come at once, and their height and width, where it is not the rest of a row or column."""

Run = Callable[[Tensor, Usual], tuple[Tensor, ...]]
"""Of [n, 3, h, w], and what n, h and w mostly are."""

_logger = logging.getLogger('b2b_basicsr')

_ROWS_AT_ONCE = 32
_MOST_COMPILED = 4  # of which each takes a minute or more; torch gives up after eight
_ON_DEVICE = {255: torch.uint8, 65535: torch.int32}
"""Largest level -> what holds levels on a device."""


class Blur2BlurPipeline:
    """``restored = deblurrer(translator(picture))`` (Blur2Blur, CVPR 2024, section 3), for pictures of any size.

    Args:
        translator: G, which turns the unknown blur into the known one: a network [n, 3, h, w] to the same shape, or to
            a list of which the last has it (MIMO-UNet's). ``None``: pictures are deblurred directly.
        deblurrer: a network of the same kind that knows that blur. ``None``: pictures are translated alone.
        device: where they compute, ``'cpu'`` or ``'cuda:1'`` say; ``None`` is CUDA where there is one, else the CPU.
            Both networks are moved there, and put into eval mode.
        tile: side in pixels of the tiles that a picture is cut into, rounded down to a multiple of
            :data:`~b2b_basicsr.tiling.ALIGNMENT`; ``None`` runs every picture whole; ``'auto'``: without CUDA, pictures
            of up to 2**20 pixels whole, larger ones in tiles of 512; with CUDA, the largest tile up to 2048 that fits
            into the memory that is free when the first picture comes. It then stays, so that what becomes of a picture
            does not hang on those before it.
        overlap: pixels that neighbouring tiles share, or a few more.
        precision: what the networks multiply in: ``'fp32'``; or ``'bf16'`` or ``'fp16'``, by autocast, with copies of
            the networks, which is faster where the hardware has it. fp16's numbers end at 65504: that they overflow
            is seen where a result is not finite, which need not be. On CUDA, torch's own switches say whether
            convolutions in fp32 may use TF32, which they do by default.
        compile: ``torch.compile``, in place, for the sizes of pictures or tiles that come more than once, four at most;
            the second picture or tile of such a size waits for it, for a minute or more. Others run as they are: tiles
            at the right and bottom that are smaller than the rest, or are fewer at once, and pictures of ever other
            sizes. Where the compiler fails, it is told by a warning of the logger ``b2b_basicsr``, and no more sizes
            are compiled.
        tile_batch: how many tiles of a row are run at once, or frames, where these are run whole; ``'auto'``: without
            CUDA 1; with CUDA as many as fit into the memory that is free when the first picture comes, up to 2048 x
            2048 pixels.

    Raises:
        UserError: if both networks are missing, a network does not keep the size of a picture, the device is not there,
            ``tile``, ``overlap``, ``precision`` or ``tile_batch`` are out of range, or ``compile`` lacks a compiler.

    Example:
        >>> import numpy as np
        >>> import torch
        >>> from b2b_basicsr.archs import MIMOUNet, NAFNetLocal
        >>> pipeline = Blur2BlurPipeline(
        ...     translator=MIMOUNet(num_res=1, base_channel=8),
        ...     deblurrer=NAFNetLocal(width=8, enc_blk_nums=[1], dec_blk_nums=[1]),
        ...     device='cpu',
        ... )
        >>> picture = np.zeros((37, 50, 3), np.uint8)
        >>> restored, translated = pipeline(picture, return_translated=True)
        >>> restored.shape, restored.dtype
        ((37, 50, 3), dtype('uint8'))
        >>> pipeline(torch.rand(3, 37, 50), translate=False).shape
        torch.Size([3, 37, 50])
    """

    def __init__(
        self,
        translator: nn.Module | None,
        deblurrer: nn.Module | None,
        device: str | torch.device | None = None,
        tile: Tile = 'auto',
        overlap: int = DEFAULT_OVERLAP,
        precision: Precision = 'fp32',
        compile: bool = False,  # noqa: A002  (torch's name for it)
        tile_batch: TileBatch = 'auto',
    ) -> None:
        if translator is None and deblurrer is None:
            raise UserError('translator, deblurrer: both are missing; give one or both')
        _check_tiling(tile, overlap)
        _check_batch(tile_batch)
        check_precision(precision)
        self.device = _existing_device(device)
        missing = missing_for_compile(self.device.type) if compile else None
        if compile and not hasattr(torch.compiler, 'set_stance'):
            missing = 'torch 2.6 or newer'
        if missing is not None:
            raise UserError(f'compile: torch.compile needs {missing}; install it, or leave compile out')
        self.tile = tile
        self.overlap = overlap
        self.precision: Precision = precision
        self.compile = compile
        self.tile_batch = tile_batch
        self.translator = None if translator is None else self._place(translator)
        self.deblurrer = None if deblurrer is None else self._place(deblurrer)
        # The first picture may be one of thousands, and come after minutes of other work: better to hear of it now.
        with torch.no_grad(), self._explained_failures():
            self._run(torch.zeros(1, 3, 64, 64), self._networks(translate=True))
        if compile:  # not before: it would be compiled for 64 x 64
            for _, net in self._networks(translate=True):
                compile_in_place(net)
        self._seen: set[tuple[torch.Size, int]] = set()
        self._compiled: set[torch.Size] = set()
        self._most_compiled = _MOST_COMPILED

    @classmethod
    def from_files(
        cls,
        translator: str | Path | None = None,
        deblurrer: str | Path | None = None,
        translator_opt: str | Path | None = None,
        deblurrer_opt: str | Path | None = None,
        device: str | torch.device | None = None,
        tile: Tile = 'auto',
        overlap: int = DEFAULT_OVERLAP,
        precision: Precision = 'fp32',
        compile: bool = False,  # noqa: A002  (torch's name for it)
        tile_batch: TileBatch = 'auto',
    ) -> Blur2BlurPipeline:
        """Builds the networks that checkpoint files belong to.

        :func:`~b2b_basicsr.restore.network_file.network_from_file` says how they are recognised.

        Args:
            translator: a checkpoint, ``experiments/NAME/models/net_g_best.pth`` say; or ``None``.
            deblurrer: a checkpoint, ``NAFNet-GoPro-width32.pth`` or Restormer's ``motion_deblurring.pth`` say; or
                ``None``. A plain file of NAFNet runs as NAFNetLocal.
            translator_opt: an option file whose ``network_g`` describes the translator.
            deblurrer_opt: an option file whose ``network_deblur``, or else ``network_g``, describes the deblurrer.
            device: as for the class.
            tile: as for the class.
            overlap: as for the class.
            precision: as for the class.
            compile: as for the class.
            tile_batch: as for the class.

        Raises:
            UserError: if a file is missing or damaged, nothing tells what network it holds, or as for the class.

        Example:
            >>> import tempfile
            >>> import torch
            >>> from b2b_basicsr.archs import NAFNet
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = f'{folder}/nafnet.pth'
            ...     torch.save({'params': NAFNet(width=8, enc_blk_nums=[1], dec_blk_nums=[1]).state_dict()}, path)
            ...     pipeline = Blur2BlurPipeline.from_files(deblurrer=path, device='cpu')
            >>> pipeline.translator, type(pipeline.deblurrer).__name__
            (None, 'NAFNetLocal')
        """
        for role, path, option_file in (
            ('translator', translator, translator_opt),
            ('deblurrer', deblurrer, deblurrer_opt),
        ):
            if path is None and option_file is not None:
                raise UserError(f'{role}_opt: {str(option_file)!r} describes a {role}, but none is given')
        return cls(
            None
            if translator is None
            else network_from_file('translator', translator, translator_opt, TRANSLATOR_SECTIONS),
            None if deblurrer is None else network_from_file('deblurrer', deblurrer, deblurrer_opt, DEBLURRER_SECTIONS),
            device,
            tile,
            overlap,
            precision,
            compile,
            tile_batch,
        )

    @overload
    def __call__(
        self,
        picture: Picture,
        return_translated: Literal[False] = False,
        translate: bool = True,
        progress: Callable[[int], object] | None = None,
    ) -> Picture: ...

    @overload
    def __call__(
        self,
        picture: Picture,
        return_translated: Literal[True],
        translate: bool = True,
        progress: Callable[[int], object] | None = None,
    ) -> tuple[Picture, Picture]: ...

    @overload
    def __call__(
        self,
        picture: Picture,
        return_translated: bool,
        translate: bool = True,
        progress: Callable[[int], object] | None = None,
    ) -> Picture | tuple[Picture, Picture]: ...

    def __call__(
        self,
        picture: Picture,
        return_translated: bool = False,
        translate: bool = True,
        progress: Callable[[int], object] | None = None,
    ) -> Picture | tuple[Picture, Picture]:
        """Restores a picture.

        Of an array, only a band as high as a tile is ever there in floating point.

        Args:
            picture: RGB: an array uint8 or uint16 [h, w, 3] or [n, h, w, 3], or a float tensor [3, h, w] or
                [n, 3, h, w] in [0, 1] on any device. At least 1 x 1 pixels. Several are run at once.
            return_translated: give G(picture) as well.
            translate: ``False`` leaves the translator out: the picture is deblurred directly.
            progress: called with the number of rows that are finished, from the top; for an array alone.

        Returns:
            The restored picture, or, with ``return_translated``, (restored, translated): of the kind, shape and dtype
            of ``picture``, on its device, clipped to its range, and for an array rounded to the nearest level.

        Raises:
            UserError: if ``picture`` is of another shape or dtype, if what is asked for needs a network that is not
                there, if the memory does not suffice, or if fp16 overflows.
        """
        networks = self._networks(translate)
        if return_translated and networks[0][0] != 'translator':
            raise UserError('return_translated: nothing is translated: give a translator, and leave translate at True')
        with torch.no_grad(), self._explained_failures():
            results: tuple[Any, ...]
            if isinstance(picture, Tensor):
                results = self._restore_tensor(picture, networks, return_translated)
            else:
                results = self._restore_array(picture, networks, return_translated, progress or (lambda rows: None))
        # Without a deblurrer the translated picture is all there is.
        return (results[-1], results[0]) if return_translated else results[-1]  # type: ignore[return-value]

    def __repr__(self) -> str:
        networks = (
            f'{role}={None if net is None else type(net).__name__}'
            for role, net in (('translator', self.translator), ('deblurrer', self.deblurrer))
        )
        return (
            f'{type(self).__name__}({", ".join(networks)}, device={self.device}, tile={self.tile}, '
            f'overlap={self.overlap}, tile_batch={self.tile_batch}, '
            f'precision={self.precision}{", compiled" if self.compile else ""})'
        )

    def frames_at_once(self, height: int, width: int) -> int:
        """How many frames of a video are best given at once, as [n, h, w, 3].

        Args:
            height: of a frame in pixels.
            width: likewise.

        Raises:
            UserError: if the memory does not suffice.
        """
        with self._explained_failures():
            tile = self._tile_for(height, width)
            if tile is not None and (height > tile or width > tile):
                return 1  # its tiles are run at once
            return self._batch_of(height, width)

    def _place(self, net: nn.Module) -> nn.Module:
        # Convolutions on the CPU are up to half again as fast with the channels innermost.
        *converted, as_it_is = prepared_for(self.precision, net.eval())
        for one in converted:
            placed = one.to(self.device).to(memory_format=torch.channels_last)
            if self._runs(placed):
                return placed
        return as_it_is.to(self.device).to(memory_format=torch.channels_last)

    def _runs(self, net: nn.Module) -> bool:
        """Whether a network takes pictures at all; if its original does not, that is told later."""
        try:
            with torch.no_grad(), self._explained_failures():
                self._run(torch.zeros(1, 3, 64, 64), (('', net),))
        except UserError:
            return False
        return True

    def _networks(self, translate: bool) -> Networks:
        networks = tuple(
            (role, net)
            for role, net in (('translator', self.translator if translate else None), ('deblurrer', self.deblurrer))
            if net is not None
        )
        if not networks:
            raise UserError('translate: without a deblurrer there is nothing to do but to translate')
        return networks

    def _run(self, picture: Tensor, networks: Networks, every_result: bool = False) -> tuple[Tensor, ...]:
        """What the last network, or each, makes of what the one before it made; [n, 3, h, w], where ``picture`` is."""
        home = picture.device
        picture = picture.to(self.device, memory_format=torch.channels_last)
        results = []
        with computing_in(self.precision, self.device.type):
            for role, net in networks:
                picture = _applied(role, net, picture).float()
                results.append(picture)
        return tuple(result.to(home) for result in (results if every_result else results[-1:]))

    def _run_tile(self, part: Tensor, networks: Networks, every_result: bool, usual: Usual) -> tuple[Tensor, ...]:
        """As :meth:`_run`; compiled, if that is asked for and worth it."""
        if self._is_worth_compiling(part.shape, usual, len(networks)):
            try:
                return self._run(part, networks, every_result)
            except RuntimeError as cause:
                if not _is_of_compiler(cause):
                    raise
                said = ' '.join(str(cause).partition('Set TORCHDYNAMO_VERBOSE')[0].split())[:200]
                _logger.warning('compile: %s; this size, and those that are not compiled yet, run uncompiled', said)
            self._compiled.discard(part.shape)
            self._most_compiled = 0
        with self._not_compiled():
            return self._run(part, networks, every_result)

    def _is_worth_compiling(self, shape: torch.Size, usual: Usual, networks: int) -> bool:
        """Whether [n, 3, h, w] has come before to as many networks, is no rest of a row, and not one size too many."""
        if not self.compile or (shape[0], *shape[-2:]) != usual:
            return False
        if (shape, networks) in self._seen and len(self._compiled) < self._most_compiled:
            self._compiled.add(shape)
        self._seen.add((shape, networks))
        return shape in self._compiled

    def _not_compiled(self) -> AbstractContextManager[object]:
        return torch.compiler.set_stance('force_eager') if self.compile else nullcontext()

    @contextmanager
    def _explained_failures(self) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, MemoryError) as cause:
            if not _is_out_of_memory(cause):
                raise
            now = 'pictures are run whole' if self.tile is None else f'tile is {self.tile}'
            raise UserError(
                f'tile: out of memory on {self.device} ({now}); give a smaller tile, --tile 256 say'
            ) from cause

    @cached_property
    def _pixels_that_fit(self) -> int:
        """On CUDA, at once; 0 if not even those do by which it is measured, when it is first asked for."""
        networks = self._networks(translate=True)
        try:
            with torch.no_grad(), self._not_compiled():
                return pixels_that_fit(lambda part: self._run(part, networks), self.device)
        except (RuntimeError, MemoryError) as cause:
            if not _is_out_of_memory(cause):
                raise
        torch.cuda.empty_cache()
        return 0

    def _tile_for(self, height: int, width: int) -> int | None:
        """Side of the tiles for a picture of this size; ``None`` if it is run whole."""
        if self.tile != 'auto':
            return self.tile
        if self.device.type == 'cuda':
            return automatic_tile(self._pixels_that_fit, self.device)
        return None if height * width <= WHOLE_ON_CPU else TILE_ON_CPU

    def _batch_of(self, height: int, width: int) -> int:
        """How many tiles or frames of this size are run at once."""
        if self.tile_batch != 'auto':
            return self.tile_batch
        # On the CPU the cores are busy with one, and more leave the caches.
        return automatic_batch(self._pixels_that_fit, height, width) if self.device.type == 'cuda' else 1

    def _in_bands(
        self, read_rows: Callable[[int, int], Tensor], run: Run, pictures: int, height: int, width: int
    ) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
        """What :func:`~b2b_basicsr.tiling.tiled_bands` gives; one band where pictures are run whole."""
        tile = self._tile_for(height, width)
        if tile is None:
            yield 0, run(read_rows(0, height), (pictures, height, width))
            return
        tile = tile // ALIGNMENT * ALIGNMENT
        sides = (min(tile, height), min(tile, width))
        batch = max(1, self._batch_of(*sides) // pictures)
        if self.compile:
            starts = tile_starts(width, tile, self.overlap)
            batch = _with_least_rest(sum(start + sides[1] <= width for start in starts), batch)
        usual = (pictures * batch, *sides)
        yield from tiled_bands(lambda part: run(part, usual), read_rows, height, width, tile, self.overlap, batch)

    def _restore_tensor(self, picture: Tensor, networks: Networks, every_result: bool) -> tuple[Tensor, ...]:
        if picture.ndim not in (3, 4) or picture.shape[-3] != 3 or 0 in picture.shape:
            raise UserError(f'picture: a tensor of shape {list(picture.shape)}; give [3, h, w] or [n, 3, h, w]')
        if not picture.is_floating_point():
            raise UserError(f'picture: a tensor of {picture.dtype}; give floating point in [0, 1]')
        pictures = picture.detach().float().reshape(-1, *picture.shape[-3:])
        bands = self._in_bands(
            lambda top, end: pictures[..., top:end, :],
            lambda part, usual: self._run_tile(part, networks, every_result, usual),
            len(pictures),
            *pictures.shape[-2:],
        )
        results = tuple(
            torch.cat(rows, dim=-2) if len(rows) > 1 else rows[0]
            for rows in zip(*(finished for _, finished in bands), strict=True)
        )
        refuse_overflow(self.precision, results)
        return tuple(result.clamp(0, 1).to(picture.dtype).reshape(picture.shape) for result in results)

    def _restore_array(
        self, picture: NDArray[Any], networks: Networks, every_result: bool, progress: Callable[[int], object]
    ) -> tuple[NDArray[Any], ...]:
        if not isinstance(picture, np.ndarray):
            raise UserError(f'picture: a {type(picture).__name__}; give a numpy array or a torch tensor')
        if picture.ndim not in (3, 4) or picture.shape[-1] != 3 or 0 in picture.shape:
            raise UserError(f'picture: an array of shape {list(picture.shape)}; give RGB, [h, w, 3] or [n, h, w, 3]')
        if picture.dtype not in (np.uint8, np.uint16):
            raise UserError(f'picture: an array of {picture.dtype}; give uint8 or uint16')
        levels = int(np.iinfo(picture.dtype).max)
        pictures = picture.reshape(-1, *picture.shape[-3:])
        results = tuple(np.empty(pictures.shape, picture.dtype) for _ in (networks if every_result else networks[-1:]))

        def read_rows(top: int, end: int) -> Tensor:
            # Still in levels, and of unsigned numbers only bytes are known to every torch: floating point is for tiles.
            # A copy: torch warns of arrays that are read-only, as a video's frames are.
            rows = np.array(pictures[:, top:end], order='C').view({1: np.uint8, 2: np.int16}[picture.itemsize])
            return self._on_device(torch.from_numpy(rows)).permute(0, 3, 1, 2)

        def run(part: Tensor, usual: Usual) -> tuple[Tensor, ...]:
            return self._run_tile((part.to(torch.int32) & levels).float() / levels, networks, every_result, usual)

        for top, finished in self._in_bands(read_rows, run, *pictures.shape[:3]):
            refuse_overflow(self.precision, finished)
            rows = finished[0].shape[-2]
            for result, band in zip(results, finished, strict=True):
                _write(band, result[:, top : top + rows])
            del finished, band  # else they are there until the next ones are
            progress(top + rows)
        return tuple(result.reshape(picture.shape) for result in results)

    def _on_device(self, levels: Tensor) -> Tensor:
        """Bytes are brought to the device before they become floating point, which is four times as much."""
        if self.device.type == 'cuda':
            return levels.pin_memory().to(self.device, non_blocking=True)
        return levels.to(self.device)


def _write(band: Tensor, result: NDArray[Any]) -> None:
    """Rounds [n, 3, rows, w] in [0, 1] to the levels of [n, rows, w, 3]."""
    levels = int(np.iinfo(result.dtype).max)
    if band.device.type != 'cpu':
        result[...] = _rounded_on_device(band, levels).numpy()
        return
    # Some rows at a time: what is allocated for them is little, and used again.
    for top in range(0, result.shape[1], _ROWS_AT_ONCE):
        rows = slice(top, top + _ROWS_AT_ONCE)
        result[:, rows] = (band[:, :, rows] * levels).round_().clamp_(0, levels).permute(0, 2, 3, 1).numpy()


def _rounded_on_device(band: Tensor, levels: int) -> Tensor:
    """As :func:`_write` does it, but where the band is, so that a quarter of the bytes come here; [n, rows, w, 3]."""
    rounded = (band * levels).round_().clamp_(0, levels).permute(0, 2, 3, 1)
    here = torch.empty(rounded.shape, dtype=_ON_DEVICE[levels], pin_memory=band.device.type == 'cuda')
    # contiguous there, or the copy would be one of single values
    return here.copy_(rounded.to(here.dtype, memory_format=torch.contiguous_format))


def _with_least_rest(tiles: int, most: int) -> int:
    """How many of a row of tiles are run at once, so that few are left at its end: those are not compiled.

    Args:
        tiles: of the row that are of full width.
        most: at once.
    """
    most = min(tiles, most)
    return min(range(most, most // 2, -1), key=lambda batch: tiles % batch)


def _check_batch(tile_batch: TileBatch) -> None:
    if tile_batch != 'auto' and (isinstance(tile_batch, bool) or not isinstance(tile_batch, int) or tile_batch < 1):
        raise UserError(f'tile_batch: {tile_batch!r}; give a whole number, 1 or more, or auto')


def _check_tiling(tile: Tile, overlap: int) -> None:
    if isinstance(overlap, bool) or not isinstance(overlap, int) or overlap < 0:
        raise UserError(f'overlap: {overlap!r}; give a whole number of pixels, 0 or more')
    if tile is None:
        return
    if tile == 'auto':
        most = SMALLEST_AUTOMATIC_TILE - ALIGNMENT
        if overlap > most:
            raise UserError(
                f'overlap: {overlap}; an automatic tile may be as small as {SMALLEST_AUTOMATIC_TILE} pixels, so give '
                f'{most} at most, or a tile of your own'
            )
        return
    if isinstance(tile, bool) or not isinstance(tile, int):
        raise UserError(f'tile: {tile!r}; give a whole number of pixels, auto, or none (None) for the whole picture')
    try:
        tile_starts(4 * tile, tile, overlap)
    except ValueError as error:
        raise UserError(f'tile: {tile}: {error}') from error


def _existing_device(name: str | torch.device | None) -> torch.device:
    """The device of that name.

    Raises:
        UserError: if it is not there.
    """
    if name is None:
        name = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as cause:
        there = [f'cuda:{index}' for index in range(torch.cuda.device_count())]
        raise UserError(f'device: {str(name)!r} is not there; there are {", ".join(["cpu", *there])}') from cause
    return device


def _applied(role: str, net: nn.Module, picture: Tensor) -> Tensor:
    try:
        outputs = net(picture)
    except (UserError, RuntimeError, ValueError) as cause:
        if _is_out_of_memory(cause) or _is_of_compiler(cause):
            raise
        raise UserError(
            f'{role}: {type(net).__name__} cannot take a picture of {list(picture.shape)}: '
            f'{" ".join(str(cause).split())[:200]}'
        ) from cause
    last: Tensor = outputs[-1] if isinstance(outputs, list | tuple) else outputs
    if last.shape != picture.shape:
        raise UserError(
            f'{role}: {type(net).__name__} makes {list(last.shape)} of {list(picture.shape)}; a {role} keeps the size'
        )
    return last


def _is_out_of_memory(cause: BaseException) -> bool:
    return isinstance(cause, MemoryError | torch.cuda.OutOfMemoryError) or 'DefaultCPUAllocator' in str(cause)


def _is_of_compiler(cause: BaseException) -> bool:
    compiler: Any = sys.modules.get('torch._dynamo.exc')  # not there before something is compiled
    return compiler is not None and isinstance(cause, compiler.TorchDynamoException)
