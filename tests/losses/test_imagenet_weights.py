from __future__ import annotations

import hashlib
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from b2b_basicsr.errors import UserError
from b2b_basicsr.losses import LPIPSLoss
from b2b_basicsr.losses.imagenet_weights import imagenet_weights

VGG16 = 'vgg16-397923af.pth'
KEY = 'some:key'


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torch would keep VGG16."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    return tmp_path / 'hub' / 'checkpoints' / VGG16


def refused(*args: Any, **kwargs: Any) -> None:
    raise OSError('no\nnetwork')


def test_without_a_word_nothing_is_downloaded(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, 'download_url_to_file', lambda *args: pytest.fail('asked the network'))
    with pytest.raises(UserError, match=f'vgg16 is not in {kept.parent}; write download, or name a file') as caught:
        LPIPSLoss()
    assert f'https://download.pytorch.org/models/{VGG16}' in str(caught.value)


def test_a_failed_download_is_one_line(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, 'download_url_to_file', refused)
    with pytest.raises(UserError) as caught:
        LPIPSLoss(weights='download')
    said = str(caught.value)
    for part in ('vgg16', 'OSError: no network', f'https://download.pytorch.org/models/{VGG16}', f'looks: {kept}'):
        assert part in said
    assert '\n' not in said


def test_the_check_sum_of_a_download_is_looked_at(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By torch; what the server gives instead is not kept."""
    served = tmp_path / 'served.pth'
    torch.save({'features.0.weight': torch.zeros(3)}, served)
    original = urllib.request.urlopen
    monkeypatch.setattr(torch.hub, 'urlopen', lambda *args, **kwargs: original(served.as_uri()))
    assert hashlib.sha256(served.read_bytes()).hexdigest()[:8] != '397923af'
    with pytest.raises(UserError, match='invalid hash value'):
        imagenet_weights('vgg16', 'download', KEY)
    assert list(kept.parent.iterdir()) == []


def test_what_was_downloaded_is_not_downloaded_again(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.parent.mkdir(parents=True)
    torch.save({'a': torch.ones(1)}, kept)
    monkeypatch.setattr(torch.hub, 'download_url_to_file', refused)
    for source in ('download', None):
        weights, file = imagenet_weights('vgg16', source, KEY)
        assert weights == {'a': torch.ones(1)}
        assert file == str(kept)


def test_a_download_that_runs_code_is_refused(kept: Path, tmp_path: Path) -> None:
    """torch.hub itself would load it whole."""

    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / 'harm',))

    kept.parent.mkdir(parents=True)
    torch.save({'a': Harmful()}, kept)
    with pytest.raises(UserError, match=f'{KEY}: .* is not read: it holds an object of'):
        imagenet_weights('vgg16', 'download', KEY)
    assert not (tmp_path / 'harm').exists()


def test_of_several_processes_one_downloads_at_a_time(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloading: list[str] = []

    def download(url: str, file: str, hash_prefix: str) -> None:
        downloading.append(hash_prefix)
        time.sleep(0.1)
        torch.save({'a': torch.ones(1)}, file)

    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    monkeypatch.setattr(sys.modules[imagenet_weights.__module__], 'this_process', lambda: (0, 2))
    with ThreadPoolExecutor(2) as processes:
        found = list(processes.map(lambda _: imagenet_weights('vgg16', 'download', KEY)[0], range(2)))
    assert downloading == ['397923af']
    assert found == [{'a': torch.ones(1)}] * 2
