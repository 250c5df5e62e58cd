"""Translate, then deblur: a trained translator before the deblurrer it was trained for, on any picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from b2b_basicsr.errors import UserError
from b2b_basicsr.restore.network_file import DEBLURRER_SECTIONS, TRANSLATOR_SECTIONS, network_from_file
from b2b_basicsr.restore.tile_size import SMALLEST_AUTOMATIC_TILE, WHOLE_ON_CPU, automatic_tile
from b2b_basicsr.tiling import ALIGNMENT, DEFAULT_OVERLAP, apply_tiled, tile_starts, tiled_bands

Picture = TypeVar('Picture', bound='Tensor | NDArray[Any]')
Tile = int | Literal['auto'] | None
Networks = tuple[tuple[str, nn.Module], ...]

_ROWS_AT_ONCE = 32


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

    Raises:
        UserError: if both networks are missing, a network does not keep the size of a picture, the device is not there,
            or ``tile`` and ``overlap`` are out of range.

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
    ) -> None:
        if translator is None and deblurrer is None:
            raise UserError('translator, deblurrer: both are missing; give one or both')
        _check_tiling(tile, overlap)
        self.device = _existing_device(device)
        self.tile = tile
        self.overlap = overlap
        self.translator = None if translator is None else self._place(translator)
        self.deblurrer = None if deblurrer is None else self._place(deblurrer)
        # The first picture may be one of thousands, and come after minutes of other work: better to hear of it now.
        with torch.no_grad(), self._explained_failures():
            self._run(torch.zeros(1, 3, 64, 64), self._networks(translate=True))

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

        Raises:
            UserError: if a file is missing or damaged, nothing tells what network it holds, or as for the class.

        Example:
            >>> import tempfile
            >>> import torch
            >>> from b2b_basicsr.archs import NAFNet
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = f'{folder}/nafnet.pth'
            ...     torch.save({'params': NAFNet(width=8, enc_blk_nums=[1], dec_blk_nums=[1]).state_dict()}, path)
            ...     Blur2BlurPipeline.from_files(deblurrer=path, device='cpu')
            Blur2BlurPipeline(translator=None, deblurrer=NAFNetLocal, device=cpu, tile=auto, overlap=64)
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
            picture: RGB: an array uint8 or uint16 [h, w, 3], or a float tensor [3, h, w] or [n, 3, h, w] in [0, 1] on
                any device. At least 1 x 1 pixels.
            return_translated: give G(picture) as well.
            translate: ``False`` leaves the translator out: the picture is deblurred directly.
            progress: called with the number of rows that are finished, from the top; for an array alone.

        Returns:
            The restored picture, or, with ``return_translated``, (restored, translated): of the kind, shape and dtype
            of ``picture``, on its device, clipped to its range, and for an array rounded to the nearest level.

        Raises:
            UserError: if ``picture`` is of another shape or dtype, if what is asked for needs a network that is not
                there, or if the memory does not suffice.
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
            f'overlap={self.overlap})'
        )

    def _place(self, net: nn.Module) -> nn.Module:
        # Convolutions on the CPU are up to half again as fast with the channels innermost.
        return net.eval().to(self.device).to(memory_format=torch.channels_last)

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
        for role, net in networks:
            picture = _applied(role, net, picture)
            results.append(picture)
        return tuple(result.to(home) for result in (results if every_result else results[-1:]))

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
    def _automatic_tile(self) -> int:
        networks = self._networks(translate=True)
        return automatic_tile(lambda part: self._run(part, networks), self.device)

    def _tile_for(self, height: int, width: int) -> int | None:
        """Side of the tiles for a picture of this size; ``None`` if it is run whole."""
        if self.tile != 'auto':
            return self.tile
        if self.device.type != 'cuda' and height * width <= WHOLE_ON_CPU:
            return None
        return self._automatic_tile

    def _restore_tensor(self, picture: Tensor, networks: Networks, every_result: bool) -> tuple[Tensor, ...]:
        if picture.ndim not in (3, 4) or picture.shape[-3] != 3 or 0 in picture.shape:
            raise UserError(f'picture: a tensor of shape {list(picture.shape)}; give [3, h, w] or [n, 3, h, w]')
        if not picture.is_floating_point():
            raise UserError(f'picture: a tensor of {picture.dtype}; give floating point in [0, 1]')
        batch = picture.detach().float().reshape(-1, *picture.shape[-3:])
        tile = self._tile_for(*batch.shape[-2:])
        if tile is None:
            results = self._run(batch, networks, every_result)
        else:
            results = apply_tiled(lambda part: self._run(part, networks, every_result), batch, tile, self.overlap)
        return tuple(result.clamp(0, 1).to(picture.dtype).reshape(picture.shape) for result in results)

    def _restore_array(
        self, picture: NDArray[Any], networks: Networks, every_result: bool, progress: Callable[[int], object]
    ) -> tuple[NDArray[Any], ...]:
        if not isinstance(picture, np.ndarray):
            raise UserError(f'picture: a {type(picture).__name__}; give a numpy array or a torch tensor')
        if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
            raise UserError(f'picture: an array of shape {list(picture.shape)}; give RGB, [h, w, 3]')
        if picture.dtype not in (np.uint8, np.uint16):
            raise UserError(f'picture: an array of {picture.dtype}; give uint8 or uint16')
        levels = int(np.iinfo(picture.dtype).max)
        height, width = picture.shape[:2]
        results = tuple(
            np.empty((height, width, 3), picture.dtype) for _ in (networks if every_result else networks[-1:])
        )

        def read_rows(top: int, end: int) -> Tensor:
            # Still in levels, and of unsigned numbers only bytes are known to every torch: floating point is for tiles.
            # A copy: torch warns of arrays that are read-only, as a video's frames are.
            rows = np.array(picture[top:end], order='C').view({1: np.uint8, 2: np.int16}[picture.itemsize])
            return torch.from_numpy(rows).permute(2, 0, 1)[None]

        def run(part: Tensor) -> tuple[Tensor, ...]:
            return self._run((part.to(torch.int32) & levels).float() / levels, networks, every_result)

        tile = self._tile_for(height, width)
        bands: Iterator[tuple[int, tuple[Tensor, ...]]]
        if tile is None:
            bands = iter([(0, run(read_rows(0, height)))])
        else:
            bands = tiled_bands(run, read_rows, height, width, tile, self.overlap)
        for top, finished in bands:
            rows = finished[0].shape[-2]
            for result, band in zip(results, finished, strict=True):
                _write(band[0], result[top : top + rows])
            del finished, band  # else they are there until the next ones are
            progress(top + rows)
        return results


def _write(band: Tensor, result: NDArray[Any]) -> None:
    """Rounds [3, rows, w] in [0, 1] to the levels of [rows, w, 3]."""
    levels = int(np.iinfo(result.dtype).max)
    # Some rows at a time: what is allocated for them is little, and used again.
    for top in range(0, len(result), _ROWS_AT_ONCE):
        rows = slice(top, top + _ROWS_AT_ONCE)
        result[rows] = (band[:, rows] * levels).round_().clamp_(0, levels).permute(1, 2, 0).numpy()


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
        if _is_out_of_memory(cause):
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
