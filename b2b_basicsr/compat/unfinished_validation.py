"""A training that was killed in a validation does it when it is resumed.

BasicSR's loop saves a state, and then validates at the same iteration. What is resumed from that state goes on with
the next step: the validation is missing from the curves, and the network that would have been the best is lost.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from b2b_basicsr.compat.mend import Mend, basicsr_has_faults
from b2b_basicsr.compat.training_script import wrap_script_function
from b2b_basicsr.stop_request import STOP


@dataclass
class _Training:
    """What the training script has built so far."""

    tb_logger: Any = None
    val_loaders: list[Any] = field(default_factory=list)


_training = _Training()


def _noting_the_logger(init_tb_loggers: Callable[..., Any]) -> Callable[..., Any]:
    def init(opt: dict[str, Any]) -> Any:
        _training.tb_logger = init_tb_loggers(opt)
        if _training.tb_logger is not None:
            atexit.register(_training.tb_logger.close)  # which the loop does at its own end alone
        return _training.tb_logger

    return init


def _noting_the_loaders(create_train_val_dataloader: Callable[..., Any]) -> Callable[..., Any]:
    def create(opt: dict[str, Any], logger: Any) -> Any:
        created = create_train_val_dataloader(opt, logger)
        if isinstance(created, tuple) and len(created) == 5:
            _training.val_loaders = list(created[2])
        return created

    return create


def _validating_when_resumed(build_model: Callable[..., Any]) -> Callable[..., Any]:
    def build(opt: dict[str, Any]) -> Any:
        model = build_model(opt)
        if not hasattr(model, 'lacks_validation'):
            return model
        STOP.listen()
        resume = model.resume_training

        def resume_training(resume_state: Mapping[str, Any]) -> None:
            resume(resume_state)
            finish_validation(model, opt, int(resume_state['iter']), _training.val_loaders, _training.tb_logger)

        model.resume_training = resume_training
        return model

    return build


def finish_validation(model: Any, opt: dict[str, Any], iteration: int, loaders: list[Any], tb_logger: Any) -> None:
    """Validates those sets whose turn it was at an iteration, and whose values the training has not.

    Args:
        model: one of ours, resumed.
        opt: its options.
        iteration: of the state.
        loaders: of the validation sets.
        tb_logger: TensorBoard's, or ``None``.
    """
    if not opt.get('val') or iteration % opt['val']['val_freq'] != 0:
        return
    for loader in loaders:
        if model.lacks_validation(loader.dataset.opt['name'], iteration):
            model.validation(loader, iteration, tb_logger, opt['val']['save_img'])


def _apply() -> None:
    wrap_script_function('init_tb_loggers', _noting_the_logger)
    wrap_script_function('create_train_val_dataloader', _noting_the_loaders)
    wrap_script_function('build_model', _validating_when_resumed)


MEND = Mend(name='unfinished_validation', affects='basicsr <= 1.4.2', needed=basicsr_has_faults, apply=_apply)
