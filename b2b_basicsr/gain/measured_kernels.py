"""Measured blur kernels from a file, turned and scaled."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from b2b_basicsr.errors import UserError

Kernel = NDArray[np.float32]


def load_kernels(path: Path) -> list[Kernel]:
    """Reads blur kernels from a file of numpy's.

    Args:
        path: an ``.npz`` of arrays [k, k], or an ``.npy`` of one [k, k] or several [n, k, k]; not negative, of any sum
            above 0. Sides may be even.

    Returns:
        Each kernel as float32 [k, k], k odd, summing to 1, in the file's order.

    Raises:
        UserError: if the file is not there or is not that.
    """
    try:
        with path.open('rb') as stream:
            if not stream.read(6).startswith((b'PK', b'\x93NUMPY')):  # numpy takes it for a pickle, to be trusted
                raise ValueError("it is not in numpy's format")
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            arrays = dict(enumerate(content if content.ndim == 3 else [content]))
        else:
            with content:
                arrays = {name: content[name] for name in content.files}
    except Exception as cause:  # a damaged file makes numpy, zipfile, zlib and tokenize raise a dozen kinds
        reason = ' '.join(str(cause).split()) or type(cause).__name__
        raise UserError(
            f'--kernels: {path} cannot be read ({reason}); give an .npz of arrays [k, k] or an .npy [n, k, k]'
        ) from cause
    if not arrays:
        raise UserError(f'--kernels: {path} holds no kernel; give an .npz of arrays [k, k] or an .npy [n, k, k]')
    return [_whole(path, name, array) for name, array in arrays.items()]


def _whole(path: Path, name: object, array: NDArray[np.generic]) -> Kernel:
    real = array.ndim == 2 and array.size > 0 and np.issubdtype(array.dtype, np.number) and np.isrealobj(array)
    kernel = array.astype(np.float64) if real else np.zeros((1, 1))
    if not np.isfinite(kernel).all() or (kernel < 0).any() or kernel.sum() <= 0:
        raise UserError(
            f'--kernels: {path}: {name} is no blur kernel (shape {list(array.shape)}, {array.dtype}); it must be '
            '[k, k], finite and not negative, with light in it'
        )
    square = np.zeros((max(kernel.shape) | 1,) * 2)
    top, left = ((len(square) - side) // 2 for side in kernel.shape)
    square[top : top + kernel.shape[0], left : left + kernel.shape[1]] = kernel
    whole: Kernel = (square / square.sum()).astype(np.float32)
    return whole


def turned_and_scaled(kernel: Kernel, angle: float, scale: float) -> Kernel:
    """A kernel turned by ``angle`` degrees and scaled, centred on its centre of gravity: it shifts nothing.

    Args:
        kernel: float32 [k, k], k odd, summing to 1.
        angle: in degrees, counterclockwise.
        scale: of its width; above 0.

    Returns:
        float32 [m, m], m odd, summing to 1.
    """
    side = int(np.ceil(max(kernel.shape) * max(scale, 1) * 1.5)) | 1
    matrix = cv2.getRotationMatrix2D(((kernel.shape[1] - 1) / 2, (kernel.shape[0] - 1) / 2), angle, scale)
    matrix[:, 2] += [(side - kernel.shape[1]) / 2, (side - kernel.shape[0]) / 2]
    # Enlarged first and averaged down again: a stroke one pixel wide would fall between the samples of a smaller copy.
    fine = 4
    matrix = np.vstack([matrix, [0, 0, 1]])
    finer = np.array([[fine, 0, (fine - 1) / 2], [0, fine, (fine - 1) / 2], [0, 0, 1]]) @ matrix
    large = cv2.warpAffine(kernel.astype(np.float64), finer[:2], (side * fine, side * fine), flags=cv2.INTER_LINEAR)
    turned = np.asarray(large).reshape(side, fine, side, fine).mean((1, 3))
    turned = np.clip(turned, 0, None) / turned.sum()
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    shift = -round(float((turned * rows).sum())), -round(float((turned * columns).sum()))
    centred: Kernel = np.roll(turned, shift, (0, 1)).astype(np.float32)
    return centred
