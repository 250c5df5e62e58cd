from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from b2b_basicsr.compat import unfinished_validation
from b2b_basicsr.stop_request import STOP


class Model:
    """Notes what it is asked to do."""

    def __init__(self, done: set[tuple[str, int]]) -> None:
        self.done = done
        self.calls: list[Any] = []

    def lacks_validation(self, name: str, iteration: int) -> bool:
        return (name, iteration) not in self.done

    def resume_training(self, state: dict[str, Any]) -> None:
        self.calls.append(('resumed', state['iter']))

    def validation(self, loader: Any, iteration: int, tb_logger: Any, save_img: bool) -> None:
        self.calls.append((loader.dataset.opt['name'], iteration, tb_logger, save_img))


@pytest.fixture(autouse=True)
def _own_training(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(unfinished_validation, '_training', unfinished_validation._Training())
    yield
    STOP.forget()


def resumed(model: Any, opt: dict[str, Any], iteration: int) -> list[Any]:
    """As the training script does it: loggers, loaders, model, state."""
    loaders = [SimpleNamespace(dataset=SimpleNamespace(opt={'name': name})) for name in ('one', 'two')]
    tb_logger = SimpleNamespace(close=lambda: None)
    unfinished_validation._noting_the_logger(lambda opt: tb_logger)(opt)
    unfinished_validation._noting_the_loaders(lambda opt, logger: (None, None, loaders, 1, 2))(opt, None)
    built = unfinished_validation._validating_when_resumed(lambda opt: model)(opt)
    built.resume_training({'iter': iteration})
    found: list[Any] = [
        call if call[0] == 'resumed' else (*call[:2], call[2] is tb_logger, call[3]) for call in model.calls
    ]
    return found


def test_what_is_missing_is_done_behind_the_resumption() -> None:
    opt = {'val': {'val_freq': 5.0, 'save_img': True}}
    assert resumed(Model(set()), opt, 10) == [('resumed', 10), ('one', 10, True, True), ('two', 10, True, True)]
    assert resumed(Model({('one', 10)}), opt, 10) == [('resumed', 10), ('two', 10, True, True)]
    assert resumed(Model({('one', 10), ('two', 10)}), opt, 10) == [('resumed', 10)]


@pytest.mark.parametrize('val', [None, {'val_freq': 4, 'save_img': False}])
def test_where_it_was_not_its_turn_nothing_is_done(val: Any) -> None:
    assert resumed(Model(set()), {'val': val}, 10) == [('resumed', 10)]


def test_another_projects_model_is_left_alone() -> None:
    model = SimpleNamespace(resume_training=print)
    assert unfinished_validation._validating_when_resumed(lambda opt: model)({}) is model
    assert model.resume_training is print
