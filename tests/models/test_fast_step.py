"""Every way to a faster step takes the same step."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from basicsr.models import build_model
from basicsr.models.base_model import BaseModel
from torch import Tensor, nn

from b2b_basicsr.bench.plain_step import PLAIN_OPTIMIZER, PlainFusion, plain_step
from b2b_basicsr.errors import UserError
from b2b_basicsr.models import Blur2BlurModel
from b2b_basicsr.models.compilation import missing_for_compile
from b2b_basicsr.models.random_state import RandomState

Options = dict[str, Any]
Batch = Callable[..., dict[str, Tensor]]


def _model(options: Options, **train: Any) -> Blur2BlurModel:
    torch.manual_seed(0)
    model: Blur2BlurModel = build_model(deepcopy({**options, 'train': {**options['train'], **train}}))
    return model


def _doubled(model: Blur2BlurModel) -> Blur2BlurModel:
    for net in (model.net_g, model.net_d, *model.content_losses.values()):
        net.double()
    return model


def _step(model: Blur2BlurModel, batch: dict[str, Tensor], iteration: int = 1) -> dict[str, float]:
    model.feed_data(batch)
    model.optimize_parameters(iteration)
    return dict(model.get_current_log())


def _gradients(net: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.grad for name, parameter in net.named_parameters() if parameter.grad is not None}


def _assert_same_gradients(one: nn.Module, other: nn.Module, tolerance: float) -> None:
    ours, theirs = _gradients(one), _gradients(other)
    assert ours.keys() == theirs.keys()
    assert len(ours) > 5
    # The bias before an instance norm has no gradient but rounding.
    rounding = 1e-6 * max(gradient.norm() for gradient in theirs.values())
    for name, gradient in ours.items():
        assert (gradient - theirs[name]).norm() <= tolerance * (theirs[name].norm() + rounding), name


# ---------------------------------------------------------------------------------------------------- the plain form


@pytest.mark.parametrize('norm', ['instance', 'none'])
def test_plain_step_is_the_same_step(options: Options, batch: Batch, norm: str) -> None:
    options['network_d']['norm'] = norm
    sample = {name: picture.double() for name, picture in batch(0).items()}
    fast, plain = _doubled(_model(options, channels_last=True)), _doubled(_model(options))
    net_g: Any = plain.net_g
    net_g.AFFs = nn.ModuleList(PlainFusion(fusion) for fusion in net_g.AFFs)
    for group in (*plain.optimizer_g.param_groups, *plain.optimizer_d.param_groups):
        group |= PLAIN_OPTIMIZER
    for _ in range(2):
        wanted = plain_step(plain, sample)
        found = _step(fast, sample)
        assert {name: found[name] for name in wanted} == pytest.approx(dict(wanted), rel=1e-9)
    _assert_same_gradients(fast.net_g, plain.net_g, 1e-9)
    _assert_same_gradients(fast.net_d, plain.net_d, 1e-9)
    torch.testing.assert_close(fast.net_g.state_dict(), plain.net_g.state_dict(), rtol=1e-9, atol=1e-12)


class _BatchNormJudge(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 3))
        self.sizes: list[int] = []

    def forward(self, picture: Tensor) -> Tensor:
        self.sizes.append(len(picture))
        scores: Tensor = self.net(picture)
        return scores


def test_known_pictures_and_gs_share_a_batch_only_where_d_judges_each_alone(options: Options, batch: Batch) -> None:
    model = _model(options, gp_opt=None)
    sizes: list[int] = []
    model.net_d.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    _step(model, batch(0))
    assert sizes == [4, 4, 4, 2, 2, 2]  # D's step, then G's
    model = _model(options, gp_opt=None)
    model.net_d = judge = _BatchNormJudge()
    _step(model, batch(0))
    assert judge.sizes == [2] * 9


# ---------------------------------------------------------------------------------------------------- parts


@pytest.mark.parametrize('parts', [2, 4])
def test_parts_of_a_batch_are_the_batch(options: Options, batch: Batch, parts: int) -> None:
    sample = {name: picture.double() for name, picture in batch(0, 4).items()}
    options['network_d']['norm'] = 'instance'
    whole, split = (_doubled(_model(options, accum_iter=count)) for count in (1, parts))
    for iteration in (1, 2):
        assert _step(split, sample, iteration) == pytest.approx(_step(whole, sample, iteration), rel=1e-9)
        _assert_same_gradients(split.net_d, whole.net_d, 1e-9)
        _assert_same_gradients(split.net_g, whole.net_g, 1e-9)


def test_parts_keep_no_graph_of_g_for_d(options: Options, batch: Batch) -> None:
    model = _model(options, accum_iter=2)
    seen: list[tuple[int, bool]] = []
    model.net_g.register_forward_hook(
        lambda _, inputs, outputs: seen.append((len(inputs[0]), outputs[0].requires_grad))
    )
    _step(model, batch(0, 4))
    assert seen == [(2, False), (2, False), (2, True), (2, True)]


def test_g_drops_the_same_channels_when_it_runs_again(options: Options, batch: Batch) -> None:
    options['network_g'] = {'type': 'MIMOUNetPlus', 'num_res': 1, 'base_channel': 8, 'drop': 0.5}
    model = _model(options, accum_iter=2)
    outputs: list[Tensor] = []
    model.net_g.register_forward_hook(lambda _, __, made: outputs.append(made[-1].detach()))
    model.optimizer_d.param_groups[0]['lr'] = 0.0
    _step(model, batch(0, 4))
    first, second, first_again, second_again = outputs
    assert torch.equal(first, first_again)
    assert torch.equal(second, second_again)
    assert not torch.equal(first, second)


def test_random_state_leaves_the_generator_where_it_was() -> None:
    state = RandomState.of(torch.device('cpu'))
    first = torch.rand(4)
    with state.again():
        assert torch.equal(torch.rand(4), first)
    after = torch.rand(4)
    torch.set_rng_state(state.on_cpu)
    torch.rand(4)
    assert torch.equal(torch.rand(4), after)


# ---------------------------------------------------------------------------------------------------- precision


def test_frozen_weights_are_in_the_type_that_autocast_gives_them(
    options: Options, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = []
    for casts in (True, False):
        if not casts:
            monkeypatch.setattr(Blur2BlurModel, '_frozen', lambda self, net: net)
        model = _model(options, amp='bf16')
        kinds = {weight.dtype for weight in model.content_losses['l_g_percep'].state_dict().values()}
        assert (torch.bfloat16 in kinds) == casts
        logs.append(_step(model, batch(0)))
    assert logs[0] == logs[1]


def test_fp16_takes_the_same_step(options: Options, batch: Batch) -> None:
    plain, half = _model(options), _model(options, amp='fp16')
    wanted, found = _step(plain, batch(0)), _step(half, batch(0))
    assert found == pytest.approx(wanted, rel=2e-2, abs=5e-3)
    assert half.scaler.get_scale() >= 2**15
    for net, other in ((half.net_g, plain.net_g), (half.net_d, plain.net_d)):
        for name, gradient in _gradients(net).items():
            largest = _gradients(other)[name].abs().max()
            assert gradient.abs().max() == pytest.approx(float(largest), rel=0.5, abs=1e-4), name


def test_fp16_leaves_a_step_out_that_overflows(options: Options, batch: Batch) -> None:
    model = _model(options, amp='fp16')
    _step(model, batch(0))
    before = deepcopy(model.net_g.state_dict())
    model.scaler.load_state_dict({**model.scaler.state_dict(), 'scale': 2.0**80})
    log = _step(model, batch(1))
    assert all(math.isfinite(loss) for loss in log.values())
    torch.testing.assert_close(model.net_g.state_dict(), before, rtol=0, atol=0)
    assert model.scaler.get_scale() == 2.0**79


def test_scaler_is_saved_and_resumed(options: Options, batch: Batch) -> None:
    model = _model(options, amp='fp16')
    model.scaler.load_state_dict({**model.scaler.state_dict(), 'scale': 1024.0})
    _step(model, batch(0))
    model.save(0, 1)
    state = torch.load(f'{options["path"]["training_states"]}/1.state', weights_only=True)
    resumed = _model(options, amp='fp16')
    resumed.resume_training(state)
    assert resumed.scaler.state_dict() == model.scaler.state_dict()
    assert resumed.scaler.get_scale() == 1024.0
    in_bf16 = _model(options, amp='bf16')
    in_bf16.resume_training(state)
    assert not in_bf16.scaler.is_enabled()


def test_bf16_follows_the_curve_of_fp32(options: Options, batch: Batch) -> None:
    """Thirty steps on pictures that stay: every loss comes down, or up, to where it comes in float32."""
    curves = []
    for amp in (None, 'bf16'):
        model = _model(options, amp=amp, total_iter=100)
        curve = [_step(model, batch(number % 3), number) for number in range(1, 31)]
        curves.append({name: [log[name] for log in curve] for name in curve[0]})
    for name, wanted in curves[0].items():
        start, end, found = sum(wanted[:3]) / 3, sum(wanted[-3:]) / 3, sum(curves[1][name][-3:]) / 3
        assert found == pytest.approx(end, rel=0.02, abs=0.1 * abs(end - start) + 1e-3), name


# ---------------------------------------------------------------------------------------------------- optimisers, EMA


def test_optimisers_are_fused_unless_the_option_says_not(options: Options) -> None:
    options['train']['optim_d'] |= {'fused': False}
    model = _model(options)
    assert model.optimizer_g.param_groups[0]['fused'] is True
    assert model.optimizer_d.param_groups[0]['fused'] is False
    options['train']['optim_g'] = {'type': 'SGD', 'lr': 1e-3}
    with pytest.raises(UserError, match=r"optimizer type 'SGD' is unknown; known are Adam, AdamW"):
        _model(options)


@pytest.mark.parametrize('decay', [0, 0.9, 0.999])
def test_moving_average_is_basicsrs(options: Options, batch: Batch, decay: float) -> None:
    averages = []
    for average in (type(_model(options)).model_ema, BaseModel.model_ema):
        model = _model(options, ema_decay=0.5)
        _step(model, batch(0))
        average(model, decay)
        averages.append(model.net_g_ema.state_dict())
    torch.testing.assert_close(averages[0], averages[1], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize('at_once', [True, False])
def test_moving_average_has_the_running_statistics_of_now(
    options: Options, batch: Batch, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    monkeypatch.setattr(Blur2BlurModel, '_knows_at_once', at_once)
    options['network_g'] = {'type': 'UNet', 'num_feat': 4, 'num_levels': 1, 'norm': 'batch'}
    model = _model(options, ema_decay=0.999)
    sound = batch(0)
    for sample in (sound, {**sound, 'lq': sound['lq'] * torch.nan}):
        _step(model, sample)
        buffers = dict(model.net_g.named_buffers())
        assert buffers['middle.norm1.running_mean'].abs().max() > 0
        for name, kept in model.net_g_ema.named_buffers():
            assert torch.equal(kept, buffers[name]), name


def test_losses_become_numbers_when_they_are_asked_for(options: Options, batch: Batch) -> None:
    model = _model(options)
    asked: list[Any] = []
    reduce = model.reduce_loss_dict

    def reduce_and_note(losses: Any) -> Any:
        asked.append(losses)
        return reduce(losses)

    model.reduce_loss_dict = reduce_and_note
    model.feed_data(batch(0))
    model.optimize_parameters(1)
    assert asked == []
    assert model.get_current_log() == model.get_current_log()
    assert len(asked) == 1


# ---------------------------------------------------------------------------------------------------- compilation

_NO_COMPILER = missing_for_compile('cpu')


@pytest.mark.slow
@pytest.mark.skipif(_NO_COMPILER is not None, reason=f'torch.compile finds no {_NO_COMPILER}')
def test_compiled_step_is_the_same_step(options: Options, batch: Batch) -> None:
    eager, compiled = _model(options, ema_decay=0.5), _model(options, compile=True, ema_decay=0.5)
    for iteration in (1, 2):
        wanted, found = (_step(model, batch(iteration), iteration) for model in (eager, compiled))
        assert found == pytest.approx(wanted, rel=1e-3, abs=1e-5)
    assert compiled.net_g._compiled_call_impl is not None
    assert compiled.net_d._compiled_call_impl is not None
    assert compiled.net_g.state_dict().keys() == eager.net_g.state_dict().keys()
    compiled.save(0, 2)
    saved = torch.load(f'{options["path"]["models"]}/net_g_2.pth', weights_only=True)
    assert saved['params'].keys() == eager.net_g.state_dict().keys()


def test_nothing_to_compile_with_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.delenv('CXX', raising=False)
    missing = missing_for_compile('cpu')
    assert missing is not None
    assert missing.startswith('a compiler (g++ or clang++')
    monkeypatch.setenv('CXX', 'my-compiler')
    assert 'my-compiler' in str(missing_for_compile('cpu'))


@pytest.mark.parametrize('amp', [None, 'fp16'])
@pytest.mark.parametrize('saved', [False, True])
def test_resumed_optimisers_are_as_the_option_file_says(
    options: Options, batch: Batch, saved: bool, amp: str | None
) -> None:
    way = {'optim_g': {**options['train']['optim_g'], 'fused': saved}}
    model = _model(options, amp=amp, **way)
    _step(model, batch(0))
    model.save(0, 1)
    state = torch.load(f'{options["path"]["training_states"]}/1.state', weights_only=True)
    way['optim_g']['fused'] = not saved
    resumed = _model(options, amp=amp, **way)
    resumed.net_g.load_state_dict(model.net_g.state_dict())
    resumed.net_d.load_state_dict(model.net_d.state_dict())
    resumed.resume_training(state)
    assert resumed.optimizer_g.param_groups[0]['fused'] is not saved
    for iteration in (2, 3):
        wanted, found = _step(model, batch(iteration), iteration), _step(resumed, batch(iteration), iteration)
        assert found == pytest.approx(wanted, rel=1e-3, abs=1e-5)


def test_another_way_than_fused_may_be_asked_for(options: Options) -> None:
    options['train']['optim_g']['foreach'] = True
    (group,) = _model(options).optimizer_g.param_groups
    assert (group['foreach'], bool(group['fused'])) == (True, False)


@pytest.mark.parametrize(
    'others',
    [
        {'amp': 'fp16'},
        {'amp': 'bf16', 'channels_last': True, 'accum_iter': 2, 'ema_decay': 0.5},
        {'identity_opt': {'type': 'L1Loss'}, 'scales': 2},
    ],
)
def test_compilation_goes_with_everything_else(
    options: Options, batch: Batch, monkeypatch: pytest.MonkeyPatch, others: Options
) -> None:
    """Graphs are captured and differentiated as for the real thing, and then run as they are: no compiler is needed."""
    in_place = nn.Module.compile
    monkeypatch.setattr(nn.Module, 'compile', lambda net, **_: in_place(net, backend='aot_eager', dynamic=False))
    torch._dynamo.reset()
    eager, compiled = _model(options, **others), _model(options, compile=True, **others)
    tolerance = 2e-2 if 'amp' in others else 1e-4
    for iteration in (1, 2, 3):
        wanted, found = (_step(model, batch(iteration, 4), iteration) for model in (eager, compiled))
        assert found == pytest.approx(wanted, rel=tolerance, abs=tolerance / 4)
    graphs = torch._dynamo.utils.counters['stats']['unique_graphs']
    assert graphs >= 2
    _step(compiled, batch(4, 4), 4)
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] == graphs
    state = deepcopy(compiled.net_g.state_dict())
    compiled.save(0, 4)
    resumed = _model(options, compile=True, **others)
    resumed.resume_training(
        torch.load(f'{options["path"]["training_states"]}/4.state', weights_only=True, map_location='cpu')
    )
    resumed.load_network(resumed.net_g, f'{options["path"]["models"]}/net_g_4.pth')
    torch.testing.assert_close(resumed.net_g.state_dict(), state, rtol=0, atol=0)
