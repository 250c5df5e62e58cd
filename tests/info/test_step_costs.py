from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from basicsr.archs import build_network
from torch.utils.flop_counter import FlopCounterMode

from b2b_basicsr.errors import UserError
from b2b_basicsr.info.multiply_adds import multiply_adds
from b2b_basicsr.info.part_counter import REST
from b2b_basicsr.info.step_costs import step_table
from b2b_basicsr.models.blur2blur_model import Blur2BlurModel

ADAM = {'type': 'Adam', 'lr': 2e-4, 'betas': [0.5, 0.999]}
CROP = 96


def options(**train: Any) -> dict[str, Any]:
    return {
        'name': 'tiny',
        'model_type': 'Blur2BlurModel',
        'datasets': {'train': {'gt_size': CROP, 'batch_size_per_gpu': 4}},
        'network_g': {'type': 'MIMOUNet', 'num_res': 1, 'base_channel': 8},
        'network_d': {'type': 'PatchGANDiscriminator', 'num_feat': 8, 'n_layers': 1},
        'path': {'pretrain_network_g': 'missing.pth'},
        'train': {
            'optim_g': dict(ADAM),
            'optim_d': dict(ADAM),
            'scheduler': {'type': 'LinearDecayLR', 'start': 2},
            'total_iter': 5,
            'pixel_opt': {'type': 'RandomFeatureLoss', 'num_feat': 4},
            'gan_opt': {'type': 'GANLoss', 'gan_type': 'hinge', 'loss_weight': 0.1},
            **train,
        },
    }


def rows_of(opt: dict[str, Any]) -> dict[Any, dict[str, Any]]:
    table = step_table(opt)
    assert table is not None
    return {row['part']: row for row in table.rows}


def forward(section: dict[str, Any], *sides: int) -> float:
    net = build_network(deepcopy(section)).to('meta')
    pictures = [torch.empty(1, 3, side, side, device='meta') for side in sides]
    counted = multiply_adds(lambda: [net(picture) for picture in pictures])
    assert counted is not None
    return counted / 1e9


def test_parts_add_up_to_what_torch_counts_of_a_real_step() -> None:
    opt = options()
    rows = rows_of(deepcopy(opt))
    parsed = opt | {'is_train': True, 'dist': False, 'rank': 0, 'num_gpu': 0, 'path': {}}
    model = Blur2BlurModel(parsed)
    model.feed_data(dict.fromkeys(('lq', 'known'), torch.rand(1, 3, CROP, CROP)))
    with FlopCounterMode(display=False) as counter:
        model.optimize_parameters(1)
    whole = rows.pop('all')
    assert whole['forward (G)'] + whole['backward (G)'] == pytest.approx(counter.get_total_flops() / 2e9)
    for column in ('forward (G)', 'backward (G)', 'share (%)'):
        assert sum(row[column] for row in rows.values()) == pytest.approx(whole[column])
    assert set(rows) == {'network_g', 'network_d', 'pixel_opt'}


def test_each_part_has_its_passes() -> None:
    opt = options(gp_opt={'weight': 1e-4})
    opt['network_k'] = {'type': 'KernelWizard', 'nf': 8, 'front_RBs': 1, 'back_RBs': 1, 'kernel_dim': 8, 'n_blocks': 1}
    opt['datasets']['train']['dataroot_known_blur'] = 'somewhere'
    rows = rows_of(opt)
    assert rows['network_g']['forward (G)'] == pytest.approx(forward(opt['network_g'], CROP))
    assert 1.9 < rows['network_g']['backward (G)'] / rows['network_g']['forward (G)'] < 2
    scales, full = forward(opt['network_d'], CROP, CROP // 2, CROP // 4), forward(opt['network_d'], CROP)
    # Known and G's pictures, G's again for G's sake, and between the two for the penalty.
    assert rows['network_d']['forward (G)'] == pytest.approx(3 * scales + full)
    assert rows[REST]['backward (G)'] == pytest.approx(2 * full)
    assert rows[REST]['forward (G)'] == 0
    assert rows['network_k']['forward (G)'] > 0
    assert rows['network_k']['backward (G)'] == 0
    # Frozen: features of the output and of the target; a gradient to the output alone, and none to the pictures' side.
    loss = rows['pixel_opt']
    assert loss['backward (G)'] == pytest.approx(loss['forward (G)'] / 2)


def test_identity_loss_and_scales_are_counted() -> None:
    plain, alone = rows_of(options()), rows_of(options(scales=1))
    assert alone['network_g']['forward (G)'] == plain['network_g']['forward (G)']
    assert alone['network_d']['forward (G)'] == pytest.approx(3 * forward(options()['network_d'], CROP))
    rows = rows_of(options(identity_opt={'type': 'RandomFeatureLoss', 'num_feat': 4}))
    assert rows['network_g']['forward (G)'] == pytest.approx(2 * plain['network_g']['forward (G)'])
    assert rows['identity_opt']['forward (G)'] == pytest.approx(plain['pixel_opt']['forward (G)'])
    assert rows['network_d'] == plain['network_d'] | {'share (%)': rows['network_d']['share (%)']}
    vgg = {'type': 'PerceptualLoss', 'layer_weights': {'relu1_2': 1.0}, 'vgg_type': 'vgg16', 'criterion': 'l1'}
    assert rows_of(options(identity_opt=vgg))['identity_opt']['forward (G)'] > 0
    assert step_table(options(identity_opt=vgg, perceptual_opt={**vgg, 'vgg_type': 'vgg19'})) is None


def test_vgg_needs_no_weights() -> None:
    vgg = {'type': 'PerceptualLoss', 'layer_weights': {'relu1_2': 1.0}, 'vgg_type': 'vgg16', 'criterion': 'l1'}
    rows = rows_of(options(perceptual_opt=vgg, vgg_weights='download', amp='bf16', compile=False, channels_last=True))
    pixels = CROP**2 * (1 + 1 / 4 + 1 / 16)
    assert rows['perceptual_opt']['forward (G)'] == pytest.approx(2 * pixels * 9 * (3 * 64 + 64 * 64) / 1e9)


@pytest.mark.parametrize(
    'net',
    [
        {'type': 'NAFNet', 'width': 8, 'enc_blk_nums': [1], 'dec_blk_nums': [1]},
        {'type': 'Restormer', 'dim': 8, 'num_blocks': [1, 1, 1, 1], 'num_refinement_blocks': 1},  # products, too
    ],
    ids=lambda net: net['type'],
)
def test_groups_of_channels_are_counted_once(net: dict[str, Any]) -> None:
    opt = options() | {'model_type': 'DeblurModel', 'network_g': net}
    for key in ('optim_d', 'gan_opt'):
        del opt['train'][key]
    rows = rows_of(opt)
    assert set(rows) == {'network_g', 'pixel_opt', 'all'}
    assert rows['network_g']['forward (G)'] == pytest.approx(forward(net, CROP))
    assert 1.9 < rows['network_g']['backward (G)'] / rows['network_g']['forward (G)'] <= 2


def test_g_that_is_held_back_is_counted_at_its_turn() -> None:
    held_back = rows_of(options(net_d_iters=3, net_d_init_iters=7))
    assert held_back == rows_of(options())


def test_where_there_is_no_step_there_is_no_table() -> None:
    assert step_table({key: value for key, value in options().items() if key != 'train'}) is None
    assert step_table(options() | {'model_type': 'SRGANModel'}) is None
    assert step_table(options(lpips_opt={'type': 'LPIPSLoss'})) is None
    assert step_table(options(identity_opt={'type': 'LPIPSLoss'})) is None


@pytest.mark.parametrize(
    ('train', 'message'),
    [
        ({'totl_iter': 1}, 'train:totl_iter: unknown key; did you mean total_iter?'),
        ({'pixel_opt': {'type': 'BlockMean'}}, 'train: '),
        (
            {'perceptual_opt': {'type': 'PerceptualLoss', 'layer_weights': {'relu1_2': 1.0}, 'vgg_type': 'vgg99'}},
            'train:',
        ),
    ],
)
def test_mistakes_are_one_line(train: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        step_table(options(**train))
    assert str(caught.value).startswith(message)
    assert '\n' not in str(caught.value)


def test_train_must_be_a_section() -> None:
    with pytest.raises(UserError, match='train: 3 is no section'):
        step_table(options() | {'train': 3})
