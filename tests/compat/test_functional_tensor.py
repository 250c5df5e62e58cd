from __future__ import annotations

import importlib
import sys

import basicsr.data.degradations
import pytest
import torch
from torchvision.transforms import functional

from b2b_basicsr.compat import functional_tensor


def test_basicsr_degradations_have_their_function() -> None:
    picture = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    grey = basicsr.data.degradations.rgb_to_grayscale(picture, num_output_channels=1)
    assert torch.equal(grey, functional.rgb_to_grayscale(picture))


def test_the_module_is_supplied_where_torchvision_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, functional_tensor.NAME, None)
    monkeypatch.delitem(sys.modules, functional_tensor.NAME)
    monkeypatch.setattr(functional_tensor, 'find_spec', lambda name: None)
    assert functional_tensor.MEND.needed()
    functional_tensor.MEND.apply()
    assert not functional_tensor.MEND.needed()
    supplied = importlib.import_module(functional_tensor.NAME)
    assert sys.modules['torchvision.transforms'].functional_tensor is supplied
    assert torch.equal(supplied.hflip(torch.arange(3.0)[None]), torch.tensor([[2.0, 1.0, 0.0]]))


def test_absent_where_torchvision_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, functional_tensor.NAME)
    monkeypatch.setattr(functional_tensor, 'find_spec', lambda name: object())
    assert not functional_tensor.MEND.needed()


def test_absent_without_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_torchvision(name: str) -> None:
        raise ModuleNotFoundError("No module named 'torchvision'")

    monkeypatch.delitem(sys.modules, functional_tensor.NAME)
    monkeypatch.setattr(functional_tensor, 'find_spec', no_torchvision)
    assert not functional_tensor.MEND.needed()
