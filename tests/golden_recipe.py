"""How the golden numbers in ``tests/golden`` were made: known weights, known inputs, and the comparison with them.

``NAME.json`` (the manifest) holds the constructor arguments, the inputs' shapes and seeds, the number of parameters and
the state-dict's keys and shapes; ``NAME.npz`` the float32 answers on a CPU in eval mode.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

GOLDEN_DIR = Path(__file__).parent / 'golden'
RELATIVE_TOLERANCE = 2e-5

_Net = TypeVar('_Net', bound=nn.Module)


def load_golden(name: str) -> tuple[dict[str, Any], dict[str, npt.NDArray[np.float32]]]:
    """The manifest of ``name``, and its arrays (none for a list of keys alone)."""
    manifest: dict[str, Any] = json.loads((GOLDEN_DIR / f'{name}.json').read_text(encoding='utf-8'))
    arrays_file = GOLDEN_DIR / f'{name}.npz'
    if not arrays_file.exists():
        return manifest, {}
    with np.load(arrays_file) as arrays:
        return manifest, dict(arrays)


@torch.no_grad()
def fill_weights(module: _Net) -> _Net:
    """Give every floating-point entry of the state-dict its known value, in place; return the module.

    Each value depends on the entry's key and shape alone, whatever the module's dtype, device or memory format.
    """
    for key, entry in module.state_dict().items():
        if not entry.is_floating_point():
            continue
        generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
        value = torch.randn(entry.shape, generator=generator, dtype=torch.float32)
        if entry.dim() >= 2:
            value = value / (entry.numel() / entry.shape[0]) ** 0.5
        elif key.endswith('weight'):
            value = 1 + 0.1 * value
        else:
            value = 0.1 * value
        entry.copy_(value)
    return module


def golden_input(shape: Sequence[int], seed: int) -> torch.Tensor:
    """The float32 picture of that shape and seed, values in [0, 1)."""
    return torch.rand(tuple(shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float32)


def assert_manifest(net: nn.Module, manifest: dict[str, Any]) -> None:
    """Keys and shapes of the state-dict, and the number of parameters, are exactly the manifest's."""
    expected = {key: tuple(shape) for key, shape in manifest['state_dict'].items()}
    actual = {key: tuple(entry.shape) for key, entry in net.state_dict().items()}
    missing, unknown = expected.keys() - actual.keys(), actual.keys() - expected.keys()
    assert not missing, f'missing keys {sorted(missing)[:5]}'
    assert not unknown, f'unknown keys {sorted(unknown)[:5]}'
    wrong = {key: (actual[key], expected[key]) for key in expected if actual[key] != expected[key]}
    assert not wrong, f'shapes (actual, expected): {wrong}'
    if 'params' in manifest:
        assert sum(parameter.numel() for parameter in net.parameters()) == manifest['params']


def relative_error(actual: torch.Tensor, expected: torch.Tensor | npt.NDArray[Any]) -> float:
    """Largest absolute difference over the largest absolute expected value."""
    expected = torch.as_tensor(expected).detach().double()
    assert actual.shape == expected.shape, f'shape {tuple(actual.shape)}, expected {tuple(expected.shape)}'
    return float((actual.detach().cpu().double() - expected).abs().max() / expected.abs().max())


def assert_golden(
    actual: torch.Tensor, expected: torch.Tensor | npt.NDArray[Any], tolerance: float = RELATIVE_TOLERANCE
) -> None:
    """``actual`` equals ``expected`` but for rounding."""
    error = relative_error(actual, expected)
    assert error <= tolerance, f'relative error {error:.2e} is above {tolerance:.0e}'
