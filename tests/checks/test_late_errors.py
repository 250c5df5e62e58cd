from __future__ import annotations

import pytest
import torch.distributed as dist

from b2b_basicsr import processes
from b2b_basicsr.checks import late_errors

LOST = RuntimeError('[/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:2')


def _said(error: Exception, capsys: pytest.CaptureFixture[str]) -> str:
    late_errors._hook(type(error), error, None)
    return capsys.readouterr().err


@pytest.mark.parametrize('lost', [LOST, dist.DistBackendError('NCCL'), dist.DistNetworkError('Broken pipe')])
def test_a_process_that_others_have_left_says_no_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lost: Exception
) -> None:
    for module in (processes, late_errors):
        monkeypatch.setattr(module, 'this_process', lambda: (1, 2))
    assert _said(lost, capsys) == 'process 1: ended, since another one has\n'
    assert 'RuntimeError: a fault' in _said(RuntimeError('a fault'), capsys)


def test_one_process_has_nobody_to_lose(capsys: pytest.CaptureFixture[str]) -> None:
    assert 'Connection closed by peer' in _said(LOST, capsys)
