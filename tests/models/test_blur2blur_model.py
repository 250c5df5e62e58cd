from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from basicsr.models import build_model

from b2b_basicsr.errors import UserError
from b2b_basicsr.models import Blur2BlurModel
from b2b_basicsr.models.output_scales import resized_like

Options = dict[str, Any]
Batch = Callable[..., dict[str, torch.Tensor]]

LOGS = {'l_g_gan', 'l_g_percep', 'l_g_pix', 'l_d_real', 'l_d_fake', 'l_d_gp', 'out_d_real', 'out_d_fake'}


def _step(model: Blur2BlurModel, batch: dict[str, torch.Tensor], iteration: int) -> dict[str, float]:
    model.update_learning_rate(iteration)
    model.feed_data(batch)
    model.optimize_parameters(iteration)
    return dict(model.get_current_log())


def _weights(net: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


@pytest.mark.parametrize('size', [1, 3])
def test_log_has_the_names_of_the_interface(options: Options, batch: Batch, size: int) -> None:
    log = _step(build_model(options), batch(0, size), 1)
    assert set(log) == LOGS
    assert all(isinstance(value, float) for value in log.values())


def test_translator_with_one_output(options: Options, batch: Batch) -> None:
    options['network_g'] = {'type': 'NAFNet', 'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]}
    assert set(_step(build_model(options), batch(0), 1)) == LOGS


def test_penalty_can_be_turned_off(options: Options, batch: Batch) -> None:
    options['train']['gp_opt'] = None
    assert 'l_d_gp' not in _step(build_model(options), batch(0), 1)


def test_g_waits_as_basicsrs_keys_say(options: Options, batch: Batch) -> None:
    options['train'] |= {'net_d_iters': 2, 'net_d_init_iters': 2}
    model = build_model(options)
    before_g, before_d = _weights(model.net_g), _weights(model.net_d)
    for iteration in (1, 2, 3):
        assert 'l_g_gan' not in _step(model, batch(iteration), iteration)
    assert torch.equal(_weights(model.net_g), before_g)
    assert not torch.equal(_weights(model.net_d), before_d)
    assert 'l_g_gan' in _step(model, batch(4), 4)
    assert not torch.equal(_weights(model.net_g), before_g)


def test_g_is_pushed_by_the_updated_d_and_d_by_the_old_g(options: Options, batch: Batch) -> None:
    """With a learning rate of 0 for D, G's adversarial term is that of D before the step; otherwise it is not."""
    terms = {}
    for rate in (0.0, 0.1):
        options['train']['optim_d']['lr'] = rate
        torch.manual_seed(0)
        log = _step(build_model(options), batch(0), 1)
        terms[rate] = log
    assert terms[0.0]['l_g_gan'] == pytest.approx(-0.5 * terms[0.0]['out_d_fake'], rel=1e-5)
    assert terms[0.1]['l_g_gan'] != pytest.approx(-0.5 * terms[0.1]['out_d_fake'], rel=1e-2)
    assert terms[0.1]['l_d_fake'] == pytest.approx(terms[0.0]['l_d_fake'], rel=1e-6)


def test_content_losses_are_summed_over_scales(options: Options, batch: Batch) -> None:
    model = build_model(options)
    sample = batch(0)
    with torch.no_grad():
        outputs = model._translate(sample['lq'])
        wanted = sum(model.cri_pix(o, t) for o, t in zip(outputs, resized_like(sample['lq'], outputs), strict=True))
    assert len(outputs) == 3
    assert _step(model, sample, 1)['l_g_pix'] == pytest.approx(float(wanted), rel=1e-5)


def _gradients(net: torch.nn.Module) -> list[torch.Tensor]:
    """Of every weight, as several processes wait for all of them."""
    gradients = [parameter.grad for parameter in net.parameters()]
    there = [gradient for gradient in gradients if gradient is not None]
    assert len(there) == len(gradients) > 5
    return there


def _without_a_step(model: Blur2BlurModel) -> Blur2BlurModel:
    """Weights stay, so that gradients of two models can be compared."""
    for group in (*model.optimizer_g.param_groups, *model.optimizer_d.param_groups):
        group['lr'] = group['initial_lr'] = 0.0
    for schedule in model.schedulers:
        schedule.base_lrs = [0.0 for _ in schedule.base_lrs]
    return model


def _identical(options: Options, **train: Any) -> Blur2BlurModel:
    torch.manual_seed(0)
    return _without_a_step(build_model({**options, 'train': {**options['train'], **train}}))


@pytest.mark.parametrize(
    'kind', ['L1Loss', 'MSELoss', 'CharbonnierLoss', 'BlockMeanLoss', 'PSNRLoss', 'RandomFeatureLoss']
)
def test_identity_loss_compares_g_of_k_with_k_at_every_scale(options: Options, batch: Batch, kind: str) -> None:
    sample = batch(0)
    without = _identical(options)
    plain = _step(without, sample, 1)
    model = _identical(options, identity_opt={'type': kind})
    assert model.cri_idt is not None
    with torch.no_grad():
        outputs = model.net_g(sample['known'])
        targets = resized_like(sample['known'], outputs)
        wanted = sum(float(model.cri_idt(one, other)) for one, other in zip(outputs, targets, strict=True))
    assert len(outputs) == 3
    log = _step(model, sample, 1)
    assert log.pop('l_g_idt') == pytest.approx(wanted, rel=1e-5)
    assert log == plain
    compared = model._compared(model.cri_idt, model._translate(sample['known']), sample['known'])
    added = torch.autograd.grad(compared, list(model.net_g.parameters()))
    for mine, other, more in zip(_gradients(model.net_g), _gradients(without.net_g), added, strict=True):
        torch.testing.assert_close(mine, other + more, rtol=1e-4, atol=1e-6)
    for mine, other in zip(_gradients(model.net_d), _gradients(without.net_d), strict=True):
        assert torch.equal(mine, other), 'D knows nothing of it'


def test_g_runs_once_more_for_the_identity_loss_and_only_then(options: Options, batch: Batch) -> None:
    options['train'] |= {'net_d_iters': 2}
    for identity, runs in ((None, [2, 2]), ({'type': 'L1Loss'}, [2, 2, 2])):
        model = _identical(options, identity_opt=identity)
        seen: list[int] = []
        model.net_g.register_forward_hook(lambda _, inputs, __, seen=seen: seen.append(len(inputs[0])))
        assert ('l_g_idt' in _step(model, batch(0), 1)) is False, 'it is not yet the turn of G'
        assert ('l_g_idt' in _step(model, batch(0), 2)) is (identity is not None)
        assert seen == runs


def test_identity_loss_in_parts_is_that_of_the_batch(options: Options, batch: Batch) -> None:
    sample = {name: picture.double() for name, picture in batch(0, 4).items()}
    options['train'] |= {'identity_opt': {'type': 'L1Loss', 'loss_weight': 2.0}, 'scales': 2}
    whole, split = (_identical(options, accum_iter=parts) for parts in (1, 2))
    for model in (whole, split):
        for net in (model.net_g, model.net_d, *model.content_losses.values()):
            net.double()
    assert _step(split, sample, 1) == pytest.approx(_step(whole, sample, 1), rel=1e-9)
    for mine, other in zip(_gradients(split.net_g), _gradients(whole.net_g), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)


def test_identity_loss_that_is_not_finite_skips_the_step(options: Options, batch: Batch) -> None:
    class NotFinite(torch.nn.Module):
        def forward(self, output: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            return output.sum() * torch.nan

    options['train']['identity_opt'] = {'type': 'L1Loss'}
    model = build_model(options)
    before = _weights(model.net_g), _weights(model.net_d)
    model.cri_idt = NotFinite()
    assert _step(model, batch(0), 1)['skipped'] == 1
    assert torch.equal(_weights(model.net_g), before[0])
    assert torch.equal(_weights(model.net_d), before[1])


@pytest.mark.parametrize('changes', [{'amp': 'bf16', 'channels_last': True}, {'amp': 'fp16'}])
def test_identity_loss_and_fewer_scales_in_other_precision(options: Options, batch: Batch, changes: Options) -> None:
    options['train'] |= {'identity_opt': {'type': 'RandomFeatureLoss', 'num_feat': 4}, 'scales': 2}
    plain, other = (_step(_identical(options, **ways), batch(0), 1) for ways in ({}, changes))
    assert other == pytest.approx(plain, rel=5e-2, abs=5e-3)


def test_identity_loss_is_no_content_loss(options: Options) -> None:
    for key in ('pixel_opt', 'perceptual_opt'):
        del options['train'][key]
    options['train']['identity_opt'] = {'type': 'L1Loss'}
    with pytest.raises(UserError, match='no content loss'):
        build_model(options)


@pytest.mark.parametrize(('scales', 'sides'), [(1, [32]), (2, [16, 32]), (3, [8, 16, 32]), (None, [8, 16, 32])])
def test_d_and_losses_see_the_largest_scales(
    options: Options, batch: Batch, scales: int | None, sides: list[int]
) -> None:
    options['train'] |= {'scales': scales, 'gp_opt': None, 'identity_opt': {'type': 'L1Loss'}}
    model = _identical(options)
    judged: list[int] = []
    compared: list[int] = []
    model.net_d.register_forward_hook(lambda _, inputs, __: judged.append(inputs[0].shape[-1]))
    for criterion in (model.cri_pix, model.cri_idt):
        assert criterion is not None
        criterion.register_forward_hook(lambda _, inputs, __: compared.append(inputs[0].shape[-1]))
    log = _step(model, batch(0), 1)
    assert judged == 2 * sides, "D's step, and G's"
    assert compared == 2 * sides, 'with B, and with K'
    with torch.no_grad():
        outputs = model.net_g(batch(0)['lq'])[-len(sides) :]
        wanted = sum(model.cri_pix(o, t) for o, t in zip(outputs, resized_like(batch(0)['lq'], outputs), strict=True))
    assert log['l_g_pix'] == pytest.approx(float(wanted), rel=1e-5)
    assert any(not gradient.any() for gradient in _gradients(model.net_g)) is (len(sides) < 3)


def test_more_scales_than_g_makes(options: Options, batch: Batch) -> None:
    options['network_g'] = {'type': 'NAFNet', 'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]}
    options['train']['scales'] = 1
    assert set(_step(build_model(options), batch(0), 1)) == LOGS
    options['train']['scales'] = 2
    with pytest.raises(UserError, match=r'^train:scales: 2; network_g makes 1 alone: lower scales, or set it to ~'):
        _step(build_model(options), batch(0), 1)


def test_penalty_draws_from_the_models_own_generator(options: Options, batch: Batch) -> None:
    logs = []
    for global_seed in (1, 2):
        torch.manual_seed(0)
        model = build_model(options)
        torch.manual_seed(global_seed)
        logs.append(_step(model, batch(0), 1))
    assert logs[0] == logs[1]
    torch.manual_seed(0)
    assert _step(build_model({**options, 'manual_seed': 1}), batch(0), 1)['l_d_gp'] != logs[0]['l_d_gp']


@pytest.mark.parametrize('changes', [{'channels_last': True}, {'amp': 'bf16'}, {'amp': 'bf16', 'channels_last': True}])
def test_precision_and_layout_change_little(options: Options, batch: Batch, changes: Options) -> None:
    torch.manual_seed(0)
    plain = _step(build_model(options), batch(0), 1)
    torch.manual_seed(0)
    model = build_model({**options, 'train': {**options['train'], **changes}})
    assert {parameter.dtype for parameter in model.net_g.parameters()} == {torch.float32}
    assert _step(model, batch(0), 1) == pytest.approx(plain, rel=5e-2 if 'amp' in changes else 1e-4, abs=5e-3)


def test_penalty_is_full_precision_under_amp(options: Options, batch: Batch) -> None:
    values = []
    for amp in (None, 'bf16'):
        options['train'] |= {'amp': amp, 'net_d_init_iters': 100}
        torch.manual_seed(0)
        model = build_model(options)
        model._translate = lambda picture: [picture.flip(-1)]
        values.append(_step(model, batch(0), 1)['l_d_gp'])
    assert values[0] == values[1]


@pytest.mark.parametrize('more', [{}, {'identity_opt': {'type': 'L1Loss'}, 'scales': 2}])
def test_resumed_training_goes_on_as_the_one_left_alone(options: Options, batch: Batch, more: Options) -> None:
    options['train'] |= {'ema_decay': 0.9, **more}
    model = build_model(options)
    for iteration in (1, 2, 3):
        _step(model, batch(iteration), iteration)
    model.save(0, 3)
    wanted = [_step(model, batch(iteration), iteration) for iteration in (4, 5)]
    models = Path(options['path']['models'])
    options['path'] |= {
        'pretrain_network_g': str(models / 'net_g_3.pth'),
        'pretrain_network_d': str(models / 'net_d_3.pth'),
    }
    resumed = build_model(options)
    resumed.resume_training(torch.load(Path(options['path']['training_states'], '3.state'), weights_only=True))
    assert [_step(resumed, batch(iteration), iteration) for iteration in (4, 5)] == wanted
    assert torch.equal(_weights(resumed.net_g_ema), _weights(model.net_g_ema))
    assert resumed.get_current_learning_rate() == model.get_current_learning_rate()


def test_checkpoint_says_what_it_is(options: Options) -> None:
    options['train']['ema_decay'] = 0.9
    build_model(options).save(-1, -1)
    content = torch.load(Path(options['path']['models'], 'net_g_latest.pth'), weights_only=True)
    assert set(content) == {'params', 'params_ema', 'network'}
    assert content['network'] == {'type': 'MIMOUNet', 'num_res': 1, 'base_channel': 8}
    content = torch.load(Path(options['path']['models'], 'net_d_latest.pth'), weights_only=True)
    assert content['network']['type'] == 'PatchGANDiscriminator'
    assert not list(Path(options['path']['training_states']).iterdir())


@pytest.mark.parametrize('plain', [True, False])
def test_fine_tuning_from_g(options: Options, tmp_path: Path, plain: bool) -> None:
    trained = build_model(options)
    state = trained.net_g.state_dict()
    torch.save({f'module.{k}': v for k, v in state.items()} if plain else {'params': state}, tmp_path / 'g.pth')
    options['path'] |= {'pretrain_network_g': str(tmp_path / 'g.pth'), 'param_key_g': 'params_ema'}
    options['train']['ema_decay'] = 0.5
    model = build_model(options)
    assert torch.equal(_weights(model.net_g), _weights(trained.net_g))
    assert torch.equal(_weights(model.net_g_ema), _weights(trained.net_g))


def test_checkpoint_of_another_network_is_refused(options: Options, tmp_path: Path) -> None:
    torch.save({'params': build_model(options).net_d.state_dict()}, tmp_path / 'd.pth')
    options['path']['pretrain_network_g'] = str(tmp_path / 'd.pth')
    with pytest.raises(UserError, match='checkpoint of another network than this MIMOUNet'):
        build_model(options)


def test_network_k_makes_known_blur_without_gradients(options: Options, batch: Batch, tmp_path: Path) -> None:
    from basicsr.utils.registry import ARCH_REGISTRY

    class HalfOfEach(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = torch.nn.Parameter(torch.tensor(0.5))

        def forward(self, sharp: torch.Tensor, blur: torch.Tensor, other_sharp: torch.Tensor) -> torch.Tensor:
            return other_sharp + self.factor * (blur - sharp)

    torch.save({'params': {'factor': torch.tensor(0.25)}}, tmp_path / 'k.pth')
    options |= {'network_k': {'type': 'HalfOfEach'}}
    options['datasets']['train'] = {'dataroot_known_blur': 'GoPro'}
    options['path']['pretrain_network_k'] = str(tmp_path / 'k.pth')
    ARCH_REGISTRY.register(HalfOfEach)
    try:
        model = build_model(options)
    finally:
        del ARCH_REGISTRY._obj_map['HalfOfEach']
    names = ('lq', 'sharp', 'known_blur', 'known_sharp')
    data = dict(zip(names, torch.rand(4, 2, 3, 32, 32, generator=torch.manual_seed(0)), strict=True))
    model.feed_data(data)
    torch.testing.assert_close(model.known, data['sharp'] + 0.25 * (data['known_blur'] - data['known_sharp']))
    assert not model.known.requires_grad
    model.optimize_parameters(1)
    assert model.net_k.factor.grad is None


@pytest.mark.parametrize('ready_made', [True, False])
def test_known_blur_gets_noise_where_the_data_set_gives_a_seed(options: Options, ready_made: bool) -> None:
    from b2b_basicsr.data.known_noise import KnownNoise

    noise = {'shot_noise': [0.005, 0.02], 'read_noise': [0.001, 0.01]}
    options['datasets']['train'] = {'known_noise_opt': noise}
    model = build_model(options)
    names = ('lq', 'known') if ready_made else ('lq', 'sharp', 'known_blur', 'known_sharp')
    data = dict(zip(names, torch.rand(4, 2, 3, 32, 32, generator=torch.manual_seed(0)), strict=False))
    model.net_k = lambda known_sharp, known_blur, sharp: 0.5 * sharp
    known = data['known'] if ready_made else 0.5 * data['sharp']
    model.feed_data(data)
    assert torch.equal(model.known, known)
    data['known_seed'] = torch.tensor([11, 12])
    model.feed_data(data)
    assert torch.equal(model.known, KnownNoise.from_options('x', noise).on_batch(known, data['known_seed']))
    assert 1e-3 < (model.known - known).std() < 0.1
    assert not model.known.requires_grad
    model.optimize_parameters(1)


def test_network_k_beside_another_source_is_not_used(options: Options, batch: Batch) -> None:
    options['network_k'] = {'type': 'KernelWizard'}
    options['path']['pretrain_network_k'] = 'not_there.pth'
    assert set(_step(build_model(options), batch(0), 1)) == LOGS


def test_known_pairs_without_network_k(options: Options) -> None:
    model = build_model(options)
    with pytest.raises(UserError, match='network_k: missing'):
        model.feed_data({name: torch.rand(1, 3, 32, 32) for name in ('lq', 'sharp', 'known_blur', 'known_sharp')})


def test_identity_start(options: Options, batch: Batch, tmp_path: Path) -> None:
    options['train'] |= {'identity_start': True, 'ema_decay': 0.9}
    model = build_model(options)
    picture = batch(0)['lq']
    for net in (model.net_g, model.net_g_ema):
        assert torch.equal(net(picture)[-1], picture)
    _step(model, batch(0), 1)
    model.save(0, 1)
    options['path']['pretrain_network_g'] = str(Path(options['path']['models'], 'net_g_1.pth'))
    loaded = build_model(options)
    assert torch.equal(_weights(loaded.net_g), _weights(model.net_g)), 'weights that are given stay'
    options['network_g'] = {'type': 'MSRResNet', 'num_feat': 4, 'num_block': 1, 'upscale': 2}
    options['path']['pretrain_network_g'] = None
    with pytest.raises(UserError, match='MSRResNet cannot start as the identity'):
        build_model(options)


def test_no_content_loss(options: Options) -> None:
    for key in ('pixel_opt', 'perceptual_opt'):
        del options['train'][key]
    with pytest.raises(UserError, match='no content loss'):
        build_model(options)


def test_shake_on_the_device_makes_known_blur(options: Options, batch: Batch, tmp_path: Path) -> None:
    from PIL import Image

    from b2b_basicsr.data import CameraShake, UnpairedBlurDataset

    (tmp_path / 'B').mkdir()
    Image.fromarray((torch.rand(60, 70, 3) * 255).byte().numpy()).save(tmp_path / 'B' / '0.png')
    shake: Options = {'length': [5, 9], 'rotation': [1, 3], 'on_device': True}
    options['datasets']['train'] = {
        'type': 'UnpairedBlurDataset',
        **{key: str(tmp_path / 'B') for key in ('dataroot_blur', 'dataroot_sharp')},
        'synth_known_opt': shake,
        'gt_size': 32,
        'io_backend': {'type': 'disk'},
        'batch_size_per_gpu': 2,
    }
    dataset = UnpairedBlurDataset(options['datasets']['train'])
    data = torch.utils.data.default_collate([dataset[0], dataset[0]])
    assert 'known' not in data
    model = build_model(options)
    assert set(_step(model, data, 1)) == LOGS
    expected = CameraShake(**shake).blur_batch(data['known_base'], data['known_seed'], data['known_centre'])
    assert torch.equal(model.known, expected)
    assert model.known.shape == data['lq'].shape
    assert not torch.equal(model.known, data['sharp'])
