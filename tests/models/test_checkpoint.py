from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from b2b_basicsr.errors import UserError
from b2b_basicsr.models.checkpoint import check_fit, load_weights, read_state_dict, write_whole

KEY = 'path:pretrain_network_g'


@pytest.mark.parametrize(
    ('content', 'param_key', 'part'),
    [
        ({'params': {'a': 1.0}, 'params_ema': {'a': 2.0}}, 'params_ema', 'params_ema'),
        ({'params': {'a': 1.0}}, 'params_ema', 'params'),
        ({'module.a': 1.0}, 'params', 'the file itself'),
        ({'a': 1.0}, None, 'the file itself'),
    ],
)
def test_layouts(tmp_path: Path, content: dict[str, object], param_key: str | None, part: str) -> None:
    def tensors(tree: object) -> object:
        return {k: tensors(v) for k, v in tree.items()} if isinstance(tree, dict) else torch.tensor(tree)

    torch.save(tensors(content), tmp_path / 'net.pth')
    weights, found = read_state_dict(KEY, str(tmp_path / 'net.pth'), param_key)
    assert found == part
    assert list(weights) == ['a']


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path('harm'),))  # type: ignore[return-value]


def test_pickle_that_runs_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({'params': Harmful()}, tmp_path / 'net.pth')
    with pytest.raises(UserError, match=f'{KEY}: .* is not read: it holds an object of .*, which could run code'):
        read_state_dict(KEY, str(tmp_path / 'net.pth'), 'params')
    assert not Path('harm').exists()


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04torn', b'text'])
def test_torn_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'net.pth').write_bytes(content)
    with pytest.raises(UserError, match=KEY):
        read_state_dict(KEY, str(tmp_path / 'net.pth'), 'params')


def test_missing_file_and_no_weights(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{KEY}: no file 'nowhere.pth'"):
        read_state_dict(KEY, 'nowhere.pth', 'params')
    torch.save({'epoch': 3, 'iter': 7}, tmp_path / '7.state')
    with pytest.raises(UserError, match="no weights under 'params'; it holds epoch, iter"):
        read_state_dict(KEY, str(tmp_path / '7.state'), 'params')


def test_fit() -> None:
    net = nn.Linear(2, 3)
    check_fit(KEY, 'f.pth', net, net.state_dict())
    with pytest.raises(UserError, match=r'weight is \[2, 2\] in the file, \[3, 2\] in the network'):
        check_fit(KEY, 'f.pth', net, {**net.state_dict(), 'weight': torch.zeros(2, 2)})
    with pytest.raises(UserError, match='the file lacks bias'):
        check_fit(KEY, 'f.pth', net, {'weight': net.weight})
    with pytest.raises(UserError, match='the network has no extra'):
        check_fit(KEY, 'f.pth', net, {**net.state_dict(), 'extra': net.bias})


def test_write_is_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / 'net.pth'
    write_whole({'params': {'a': torch.ones(3)}}, path)
    before = path.read_bytes()

    class Unwritable:
        def __reduce__(self) -> str:
            raise OSError('disk full')

    with pytest.raises(OSError, match='disk full'):
        write_whole({'a': torch.zeros(10000), 'b': Unwritable()}, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ['net.pth']


def test_loose_loading_takes_what_fits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = nn.Linear(2, 3), nn.Linear(3, 1)
    net = nn.Sequential(first, second)
    given = {key: torch.ones_like(value) for key, value in net.state_dict().items()}
    given['1.weight'] = torch.ones(5, 5)
    given['2.weight'] = torch.ones(1)
    torch.save({'params': given}, tmp_path / 'net.pth')
    before = second.weight.clone()
    with caplog.at_level('WARNING', logger='basicsr'):
        load_weights(net, 'key', str(tmp_path / 'net.pth'), strict=False, param_key='params')
    assert torch.equal(first.weight, torch.ones(3, 2))
    assert torch.equal(second.weight, before)
    with pytest.raises(UserError, match='another network'):
        load_weights(net, 'key', str(tmp_path / 'net.pth'), strict=True, param_key='params')
