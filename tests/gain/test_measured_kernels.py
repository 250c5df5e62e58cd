from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from b2b_basicsr.errors import UserError
from b2b_basicsr.gain.measured_kernels import load_kernels, turned_and_scaled


def _stroke(length: int) -> np.ndarray:
    kernel = np.zeros((length + 2, length + 2), np.float32)
    kernel[(length + 2) // 2, 1:-1] = 1 / length
    return kernel


def test_kernels_of_any_side_and_sum_come_odd_and_whole(tmp_path: Path) -> None:
    path = tmp_path / 'kernels.npz'
    np.savez(path, a=np.eye(4), b=np.full((3, 5), 7, np.uint8))
    first, second = load_kernels(path)
    assert first.shape == second.shape == (5, 5)
    for kernel in (first, second):
        assert kernel.dtype == np.float32
        assert kernel.sum() == pytest.approx(1)
    np.save(tmp_path / 'several.npy', np.stack([np.eye(3), np.eye(3)]))
    assert len(load_kernels(tmp_path / 'several.npy')) == 2
    np.save(tmp_path / 'one.npy', np.eye(3))
    assert len(load_kernels(tmp_path / 'one.npy')) == 1


@pytest.mark.parametrize(
    ('arrays', 'words'),
    [
        ({}, 'holds no kernel'),
        ({'a': np.zeros((3, 3))}, 'a is no blur kernel'),
        ({'a': -np.eye(3)}, 'a is no blur kernel'),
        ({'a': np.full((3, 3), np.nan)}, 'a is no blur kernel'),
        ({'a': np.ones(9)}, r'shape \[9\]'),
        ({'a': np.ones((3, 3), complex)}, 'complex128'),
        ({'a': np.array([['x']])}, 'a is no blur kernel'),
    ],
)
def test_what_is_no_kernel_is_refused_by_name(tmp_path: Path, arrays: dict[str, np.ndarray], words: str) -> None:
    path = tmp_path / 'kernels.npz'
    np.savez(path, **arrays)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=words):
        load_kernels(path)


def test_files_that_are_none_are_refused_in_one_line(tmp_path: Path) -> None:
    text = tmp_path / 'kernels.npz'
    text.write_text('no kernels\nat all')
    for path in (text, tmp_path / 'missing.npz', tmp_path):
        with pytest.raises(UserError, match=r'--kernels: .* cannot be read') as refused:
            load_kernels(path)
        assert '\n' not in str(refused.value)
        assert 'pickle' not in str(refused.value)  # numpy's guess, with advice to trust the file


@pytest.mark.parametrize('save', [np.savez, np.savez_compressed, np.save])
def test_damaged_files_are_refused_wherever_the_damage_is(tmp_path: Path, save: Callable[..., None]) -> None:
    path = tmp_path / f'kernels.{"npy" if save is np.save else "npz"}'
    save(path, np.eye(5))
    whole = path.read_bytes()
    damaged = [whole[:place] for place in range(0, len(whole), 7)]
    damaged += [whole[:place] + bytes([whole[place] ^ 9]) + whole[place + 1 :] for place in range(0, len(whole), 3)]
    said = []
    for content in damaged:
        path.write_bytes(content)
        try:
            load_kernels(path)  # on some bytes nothing hangs
        except UserError as error:
            said.append(str(error))
    assert len(said) > len(damaged) / 3
    assert all(line.startswith(f'--kernels: {path}') and '\n' not in line for line in said)


@pytest.mark.parametrize(('angle', 'scale'), [(0, 1), (37, 0.5), (90, 0.8), (200, 1.7)])
def test_turning_keeps_the_light_and_shifts_nothing(angle: float, scale: float) -> None:
    kernel = turned_and_scaled(_stroke(15), angle, scale)
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    rows, columns = np.mgrid[: len(kernel), : len(kernel)] - (len(kernel) - 1) / 2
    mean = np.array([(kernel * columns).sum(), (kernel * rows).sum()])
    assert np.abs(mean).max() < 0.75
    # A stroke's spread along its own direction is that of its length.
    along = np.array([np.cos(np.radians(angle)), -np.sin(np.radians(angle))])
    places = columns * along[0] + rows * along[1]
    assert np.sqrt((kernel * (places - mean @ along) ** 2).sum()) == pytest.approx(15 * scale / np.sqrt(12), rel=0.12)
