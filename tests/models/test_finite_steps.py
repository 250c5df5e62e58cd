"""A step that is not finite changes nothing, is counted, and many of them end the training."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from basicsr.models import build_model
from basicsr.utils import MessageLogger
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from b2b_basicsr.errors import UserError
from b2b_basicsr.models.finite_steps import FiniteSteps
from b2b_basicsr.report.basicsr_log import read_log

Options = dict[str, Any]
Batch = dict[str, Tensor]
MODELS = ('Blur2BlurModel', 'DeblurModel', 'KernelWizardModel')


@ARCH_REGISTRY.register()
class BatchNormJudge(nn.Sequential):
    """A discriminator with running statistics."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 3))


class _NotFinite(nn.Module):
    """A loss of G alone, which is as if it were not there, until it is told not to be."""

    def __init__(self, value: float, gradient: float) -> None:
        super().__init__()
        self.value, self.gradient, self.now = value, gradient, False

    def forward(self, output: Tensor, _: Tensor) -> Tensor:
        mean = output.float().mean()
        if not self.now:
            return 0 * mean
        mean.register_hook(lambda gradient: gradient * self.gradient)
        return mean.detach() * 0 + self.value + mean - mean.detach()


@pytest.fixture(autouse=True)
def warnings(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is logged as a warning."""
    said: list[str] = []
    monkeypatch.setattr(logging.getLogger('basicsr'), 'warning', said.append)
    return said


@pytest.fixture(params=['at once', 'on the device'])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """As on a CPU, and as on a GPU, where nobody asks how a step went."""
    if request.param == 'on the device':
        monkeypatch.setattr(FiniteSteps, '_knows_at_once', False)
    return request.param


@pytest.fixture
def options_of(options: Options) -> Callable[[str], Options]:
    """Parsed options of a small training of any model."""

    def make(model_type: str) -> Options:
        opt = deepcopy(options)
        opt['train']['ema_decay'] = 0.5
        opt['train']['gp_opt'] = None
        if model_type != 'Blur2BlurModel':
            opt['model_type'] = model_type
            opt['train'] = {key: opt['train'][key] for key in ('optim_g', 'scheduler', 'total_iter', 'ema_decay')}
            opt['train']['pixel_opt'] = {'type': 'L1Loss'}
            del opt['network_d']
        if model_type == 'KernelWizardModel':
            wizard = {'nf': 4, 'front_RBs': 1, 'back_RBs': 1, 'kernel_dim': 4, 'n_blocks': 1}
            opt['network_g'] = {'type': 'KernelWizard', **wizard}
        return opt

    return make


def _batch(seed: int, spoilt: bool = False) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    pictures = {name: torch.rand(2, 3, 32, 32, generator=generator) for name in ('lq', 'known', 'gt')}
    if spoilt:
        pictures['lq'][0, 0, 0, 0] = float('nan')
    return pictures


def _model(opt: Options) -> Any:
    torch.manual_seed(0)
    return build_model(deepcopy(opt))


def _step(model: Any, iteration: int, spoilt: bool = False) -> None:
    model.feed_data(_batch(iteration, spoilt))
    model.optimize_parameters(iteration)


def _all_of(model: Any) -> dict[str, Any]:
    """Everything that a step changes."""
    nets = {name: getattr(model, name) for name in ('net_g', 'net_g_ema', 'net_d') if hasattr(model, name)}
    kept: dict[str, Any] = {name: net.state_dict() for name, net in nets.items()}
    kept['optimizers'] = [optimizer.state_dict() for optimizer in model.optimizers]
    return deepcopy(kept | {'scale': model.scaler.get_scale()})


def _assert_same(found: Any, wanted: Any) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


# ---------------------------------------------------------------------------------------------------- nothing changes


@pytest.mark.parametrize('fused', [True, False])
@pytest.mark.parametrize('model_type', MODELS)
def test_training_goes_on_as_if_the_batch_had_never_been(
    options_of: Callable[[str], Options], way: str, model_type: str, fused: bool
) -> None:
    opt = options_of(model_type)
    if not fused:
        for name in ('optim_g', 'optim_d'):
            opt['train'].get(name, {})['fused'] = False
    model, other = _model(opt), _model(opt)
    for one in (model, other):
        _step(one, 1)
    before = _all_of(model)
    _step(model, 2, spoilt=True)
    _assert_same(_all_of(model), before)
    assert model.get_current_log()['skipped'] == 1
    other.generator.set_state(model.generator.get_state())  # what a step draws stays drawn
    for one in (model, other):
        _step(one, 3)
    _assert_same(_all_of(model), _all_of(other))
    with pytest.raises(AssertionError):
        _assert_same(_all_of(model), before)


@pytest.mark.parametrize('network_d', ['spectral', 'instance', 'batch'])
@pytest.mark.parametrize('parts', [1, 2])
def test_running_statistics_do_not_see_the_batch(
    options_of: Callable[[str], Options], way: str, network_d: str, parts: int
) -> None:
    opt = options_of('Blur2BlurModel')
    opt['train'] |= {'accum_iter': parts, 'gp_opt': {'weight': 1e-4}}
    opt['network_d'] |= {'norm': network_d}
    if network_d == 'batch':
        opt['network_d'] = {'type': 'BatchNormJudge'}
    model = _model(opt)
    _step(model, 1)
    before = _all_of(model)
    assert network_d == 'instance' or len(before['net_d']) > len(list(model.net_d.parameters()))
    _step(model, 2, spoilt=True)
    _assert_same(_all_of(model), before)


@pytest.mark.parametrize(('value', 'gradient'), [(float('nan'), 1), (float('inf'), 0), (1, float('nan'))])
@pytest.mark.parametrize('first', [1, 2])
def test_what_g_finds_takes_back_what_d_did(
    options_of: Callable[[str], Options], warnings: list[str], way: str, value: float, gradient: float, first: int
) -> None:
    model, other = (_model(options_of('Blur2BlurModel')) for _ in range(2))
    for one in (model, other):
        one.content_losses['l_g_own'] = _NotFinite(value, gradient)
        for iteration in range(1, first):
            _step(one, iteration)
    model.content_losses['l_g_own'].now = True
    weights = [deepcopy(net.state_dict()) for net in (model.net_g, model.net_d, model.net_g_ema)]
    _step(model, first)
    _assert_same([net.state_dict() for net in (model.net_g, model.net_d, model.net_g_ema)], weights)
    model.get_current_log()
    found = 'gradients of net_g' if value == 1 else 'l_g_own'
    assert warnings == [f'iteration {first}: {found} not finite: the step was skipped (1 so far)']
    model.content_losses['l_g_own'].now = False
    for one in (model, other):
        _step(one, 3)
    _assert_same(_all_of(model), _all_of(other))


def test_step_of_d_alone_is_skipped_too(options_of: Callable[[str], Options], way: str) -> None:
    opt = options_of('Blur2BlurModel')
    opt['train']['net_d_iters'] = 2
    model = _model(opt)
    _step(model, 1)
    before = _all_of(model)
    _step(model, 3, spoilt=True)
    _assert_same(_all_of(model), before)


def test_average_that_the_device_makes_is_the_same(options_of: Callable[[str], Options]) -> None:
    opt = options_of('DeblurModel')
    models = [_model(opt) for _ in range(3)]
    for model in models:
        for weight in model.net_g.parameters():
            weight.data += 0.1
    models[0].model_ema(0.9)
    models[1].model_ema(0.9, unless=torch.tensor(False))
    averages = [model.net_g_ema.state_dict() for model in models]
    torch.testing.assert_close(averages[1], averages[0], rtol=1e-6, atol=1e-8)
    before = deepcopy(averages[2])
    models[2].model_ema(0.9, unless=torch.tensor(True))
    _assert_same(averages[2], before)


# ---------------------------------------------------------------------------------------------------- fp16


def test_fp16_keeps_its_scale_where_a_loss_is_not_finite(options_of: Callable[[str], Options], way: str) -> None:
    opt = options_of('Blur2BlurModel')
    opt['train']['amp'] = 'fp16'
    model = _model(opt)
    _step(model, 1)
    before = _all_of(model)
    _step(model, 2, spoilt=True)
    _assert_same(_all_of(model), before)
    assert model.get_current_log()['skipped'] == 1


def test_fp16_that_finds_its_scale_is_not_counted(
    options_of: Callable[[str], Options], warnings: list[str], way: str
) -> None:
    opt = options_of('Blur2BlurModel')
    opt['train']['amp'] = 'fp16'
    model = _model(opt)
    model.scaler.load_state_dict({**model.scaler.state_dict(), 'scale': 2.0**60})
    weights = deepcopy(model.net_g.state_dict())
    _step(model, 1)
    _assert_same(model.net_g.state_dict(), weights)
    assert model.scaler.get_scale() == 2.0**59
    assert 'skipped' not in model.get_current_log()
    assert warnings == []


# ---------------------------------------------------------------------------------------------------- counted


def test_skipped_steps_are_told_once_a_row(
    options_of: Callable[[str], Options], warnings: list[str], way: str, tmp_path: Path
) -> None:
    opt = options_of('DeblurModel')
    model = _model(opt)
    for iteration, spoilt in enumerate([False, True, True, False, True], start=1):
        _step(model, iteration, spoilt)
        assert ('skipped' in model.get_current_log()) == (iteration > 1)
    assert model.get_current_log()['skipped'] == 3
    assert warnings == [
        'iteration 2: l_pix not finite: the step was skipped (1 so far)',
        'iteration 5: l_pix not finite: the step was skipped (3 so far)',
    ]
    model.save(0, 5)
    state = torch.load(f'{model.opt["path"]["training_states"]}/5.state', weights_only=True)
    assert state['skipped_steps'] == {'total': 3, 'in_a_row': 1}
    resumed = _model(opt)
    resumed.resume_training(state)
    _step(resumed, 6, spoilt=True)
    resumed.get_current_log()
    assert resumed.kept_in_state()['skipped_steps'] == {'total': 4, 'in_a_row': 2}
    state.pop('skipped_steps')  # of an older training
    _model(opt).resume_training(state)


@pytest.mark.parametrize(('amp', 'hint'), [(None, 'lr, and look'), ('bf16', 'amp: ~ instead of bf16, and look')])
def test_too_many_in_a_row_end_the_training(
    options_of: Callable[[str], Options], way: str, amp: str | None, hint: str
) -> None:
    opt = options_of('Blur2BlurModel')
    opt['train'] |= {'max_nonfinite_steps': 3, 'amp': amp}
    model = _model(opt)
    for iteration, spoilt in enumerate([True, True, False, True, True], start=1):
        _step(model, iteration, spoilt)
    model.save(0, 5)

    def step_and_log() -> None:
        _step(model, 6, spoilt=True)
        model.get_current_log()

    with pytest.raises(UserError) as told:
        step_and_log()
    said = str(told.value)
    assert said.startswith('iteration 6: l_d_fake')
    assert 'the last 3 steps were skipped for it (train: max_nonfinite_steps: 3)' in said
    assert f'the last good state is {opt["path"]["training_states"]}/5.state' in said
    assert hint in said
    assert '\n' not in said


def test_device_is_asked_now_and_then_without_a_log(
    options_of: Callable[[str], Options], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FiniteSteps, '_knows_at_once', False)
    opt = options_of('KernelWizardModel')
    opt['train']['max_nonfinite_steps'] = 4
    model = _model(opt)
    for iteration in (1, 2, 3):
        _step(model, iteration, spoilt=True)
    with pytest.raises(UserError, match=r'iteration 4: l_pix not finite.*no whole state has been saved'):
        _step(model, 4, spoilt=True)


def test_log_takes_numbers_that_are_none(
    options_of: Callable[[str], Options], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from torch.utils.tensorboard import SummaryWriter

    opt = options_of('Blur2BlurModel')
    opt['logger'] = {'print_freq': 1, 'use_tb_logger': True}
    model = _model(opt)
    lines: list[str] = []
    monkeypatch.setattr(logging.getLogger('basicsr'), 'info', lines.append)
    with SummaryWriter(str(tmp_path / 'tb')) as board:
        logger = MessageLogger(opt, 0, board)
        for iteration in (1, 2):
            _step(model, iteration, spoilt=iteration == 1)
            logger({'epoch': 0, 'iter': iteration, 'lrs': [1e-4], **model.get_current_log()})
    assert 'l_d_fake: nan' in lines[0]
    assert 'skipped: 1.0000e+00' in lines[0]
    log = tmp_path / 'train.log'
    log.write_text(''.join(f'2026-01-01 00:00:00,000 INFO: {line}\n' for line in lines))
    assert [iteration for iteration, _ in read_log([log]).losses['l_d_fake']] == [1, 2]


class _Waiting(TorchDispatchMode):
    """Notes what would have the training wait for a GPU: numbers made of tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('model_type', MODELS)
def test_nobody_waits_for_a_device_that_knows_itself(
    options_of: Callable[[str], Options], monkeypatch: pytest.MonkeyPatch, model_type: str
) -> None:
    opt = options_of(model_type)
    model = _model(opt)
    for at_once in (True, False):
        monkeypatch.setattr(FiniteSteps, '_knows_at_once', at_once)
        with _Waiting() as waiting:
            for iteration in (1, 2):
                _step(model, iteration, spoilt=iteration == 2)
        assert bool(waiting.found) == at_once
