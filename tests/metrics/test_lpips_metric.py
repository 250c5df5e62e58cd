from __future__ import annotations

from pathlib import Path
from typing import Any

import lpips
import numpy as np
import pytest
import torch
from basicsr.metrics import calculate_metric
from basicsr.utils.registry import METRIC_REGISTRY

from b2b_basicsr.errors import UserError
from b2b_basicsr.losses.lpips_network import lpips_network
from b2b_basicsr.metrics import calculate_lpips, lpips_metric
from b2b_basicsr.models.scores import Scores
from b2b_basicsr.records.score_names import DIRECT, Comparison
from tests.losses.conftest import filled_torch_home, torch_home  # noqa: F401  fixtures of both folders
from tests.torch_hub import SQUEEZENET

Levels = np.ndarray[Any, np.dtype[np.uint8]]


@pytest.fixture(autouse=True)
def _forget_networks() -> None:
    lpips_metric._network.cache_clear()


def pictures() -> tuple[Levels, Levels]:
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 256, (2, 40, 51, 3), dtype=np.uint8)
    return first, second


def rgb(levels: Levels) -> torch.Tensor:
    return torch.tensor(levels[..., ::-1].copy()).permute(2, 0, 1)[None] / 127.5 - 1


@pytest.mark.parametrize('net', ['alex', 'squeeze'])
def test_the_lpips_package_says_the_same(net: str, torch_home: Path) -> None:  # noqa: F811
    first, second = pictures()
    with pytest.warns(UserWarning, match='pretrained'):
        theirs = lpips.LPIPS(net=net, verbose=False)
    with torch.no_grad():
        expected = theirs(rgb(first), rgb(second)).item()
        inner = theirs(rgb(first[2:-2, 2:-2]), rgb(second[2:-2, 2:-2])).item()
    section = {'type': 'calculate_lpips', 'net': net, 'device': 'cpu'}
    data = {'img': first, 'img2': second}
    assert expected > 0
    assert calculate_metric(data, section) == pytest.approx(expected, rel=1e-5)
    assert calculate_metric(data, {**section, 'crop_border': 2, 'better': 'lower'}) == pytest.approx(inner, rel=1e-5)
    turned = {name: picture.transpose(2, 0, 1) for name, picture in data.items()}
    assert calculate_metric(turned, {**section, 'input_order': 'CHW'}) == pytest.approx(expected, rel=1e-5)
    assert calculate_lpips(first, first, net) == 0


def test_default_net_is_alex_and_is_built_once(
    torch_home: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[str] = []

    def counted(net: str, weights: str | None) -> torch.nn.Module:
        built.append(net)
        return lpips_network(net, weights)

    monkeypatch.setattr('b2b_basicsr.metrics.lpips_metric.lpips_network', counted)
    first, second = pictures()
    assert calculate_lpips(first, second) == calculate_lpips(first, second, net='alex')
    assert built == ['alex']


def test_lower_is_better_unless_the_entry_says_otherwise() -> None:
    assert METRIC_REGISTRY.get('calculate_lpips') is calculate_lpips
    entry: dict[str, Any] = {'type': 'calculate_lpips'}
    sections = {'lpips': entry, 'odd': {**entry, 'better': 'higher'}, 'unsaid': {**entry, 'better': None}}
    metrics = {**sections, 'psnr': {'type': 'calculate_psnr', 'crop_border': 0}}
    scores = Scores(metrics, Comparison((DIRECT,), gain_over=DIRECT))
    better = {name: scores.better(name) for name in ('lpips', 'lpips_direct', 'odd', 'unsaid', 'psnr', 'gain')}
    assert better == {
        'lpips': 'lower', 'lpips_direct': 'lower', 'odd': 'higher', 'unsaid': 'lower', 'psnr': 'higher',
        'gain': 'higher',
    }  # fmt: skip
    assert scores.needs_gt('lpips')


def test_pictures_of_other_and_of_too_small_size(torch_home: Path) -> None:  # noqa: F811
    first, second = pictures()
    with pytest.raises(ValueError, match=r'differ in size: \(40, 51, 3\) and \(40, 50, 3\)'):
        calculate_lpips(first, second[:, :50])
    with pytest.raises(UserError, match='alex needs pictures of 31x31 at least, but got 51x30'):
        calculate_lpips(first[:30], second[:30])


def test_missing_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    first, second = pictures()
    with pytest.raises(UserError, match=r'LPIPS: weights: squeezenet1_1 is not in .*; write download, or name a file'):
        calculate_lpips(first, second, net='squeeze')


def test_weights_from_a_file(torch_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    first, second = pictures()
    expected = calculate_lpips(first, second, net='squeeze')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    file = torch_home / 'hub' / 'checkpoints' / SQUEEZENET
    assert calculate_lpips(first, second, net='squeeze', weights=str(file)) == expected
