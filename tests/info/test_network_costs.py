from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.analysis import FlopAnalyzer
from torch import nn

from b2b_basicsr.archs import MIMOUNet, NAFNet, PatchGANDiscriminator, Restormer, UNet
from b2b_basicsr.errors import UserError
from b2b_basicsr.info.multiply_adds import multiply_adds
from b2b_basicsr.info.network_costs import network_tables
from b2b_basicsr.options.option_file import read_option_file
from b2b_basicsr.shipped_options import shipped_option_files

OPTIONS = Path(shipped_option_files()[0]).parent
G: dict[str, Any] = {'type': 'MIMOUNet', 'num_res': 1, 'base_channel': 8}
D: dict[str, Any] = {'type': 'PatchGANDiscriminator', 'num_feat': 8}
NETS: list[nn.Module] = [
    MIMOUNet(num_res=1, base_channel=8),
    NAFNet(width=8, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]),
    PatchGANDiscriminator(num_feat=8),
    Restormer(dim=8, num_blocks=[1, 1, 1, 1], num_refinement_blocks=1),
    UNet(num_feat=4, num_levels=2),
]


def options(**changes: Any) -> dict[str, Any]:
    return {
        'model_type': 'Blur2BlurModel',
        'datasets': {'train': {'gt_size': 128, 'dataroot_known_blur': 'x'}},
        'network_g': G,
        'network_d': D,
        'train': {},
        **changes,
    }


@pytest.mark.parametrize('net', NETS, ids=lambda net: type(net).__name__)
def test_convolutions_and_products_are_those_that_mmengine_counts(net: nn.Module) -> None:
    analysis = FlopAnalyzer(net.eval(), (torch.rand(1, 3, 48, 64),))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    theirs = {kind: count for kind, count in analysis.by_operator().items() if kind in ('conv', 'matmul', 'linear')}
    on_meta = net.to('meta')
    ours = multiply_adds(lambda: on_meta(torch.empty(1, 3, 48, 64, device='meta')))
    assert ours == sum(theirs.values()) > 10**6


@pytest.mark.parametrize('look', [lambda x: x[x > 0], lambda x: x.mean().item()])
def test_what_cannot_be_done_without_numbers_is_not_counted(look: Callable[[torch.Tensor], object]) -> None:
    assert multiply_adds(lambda: look(torch.empty(2, 2, device='meta'))) is None


def test_mistakes_are_not_taken_for_that() -> None:
    with pytest.raises(RuntimeError):
        multiply_adds(lambda: torch.empty(2, 3, device='meta') @ torch.empty(2, 3, device='meta'))


def test_a_training_file_has_every_network_on_its_own_input() -> None:
    training, whole = network_tables(read_option_file(OPTIONS / 'b2b_rb2v.yml'), (720, 1280))
    rows = {row['network']: row for row in training.rows}
    assert {name: row['input'] for name, row in rows.items()} == {
        'network_g': '3x256x256',
        'network_d': '3x64x64, 3x128x128, 3x256x256',
        'network_k': '3 of 3x256x256',
        'network_deblur': '3x256x256',
    }
    assert {name: row['use'] for name, row in rows.items()} == {
        'network_g': 'trained',
        'network_d': 'trained',
        'network_k': 'frozen, every step',
        'network_deblur': 'frozen, validation',
    }
    assert rows['network_g']['parameters (M)'] == sum(weight.numel() for weight in MIMOUNet().parameters()) / 1e6
    assert [row['network'] for row in whole.rows] == ['network_g', 'network_deblur']
    # MIMO-UNet is convolutions alone, and both sizes are multiples of what it pads to.
    at_crop, of_picture = rows['network_g']['multiply-adds (G)'], whole.rows[0]['multiply-adds (G)']
    assert isinstance(at_crop, float)
    assert of_picture == pytest.approx(at_crop * 720 * 1280 / 256**2)


def test_network_k_that_another_source_replaces_is_not_used() -> None:
    kernel = {'type': 'KernelWizard', 'nf': 8, 'front_RBs': 1, 'back_RBs': 1, 'kernel_dim': 8, 'n_blocks': 1}
    opt = options(network_k=kernel, datasets={'train': {'gt_size': 128, 'synth_known_opt': {}}})
    training, _ = network_tables(opt, (64, 64))
    assert {row['network']: row['use'] for row in training.rows}['network_k'] == 'not used'


def test_a_test_file_has_pictures_alone() -> None:
    opt = read_option_file(OPTIONS / 'test_b2b_rb2v.yml')
    (whole,) = network_tables(opt, (480, 640))
    assert [(row['network'], row['input']) for row in whole.rows] == [
        ('network_g', '3x480x640'),
        ('network_deblur', '3x480x640'),
    ]


def test_networks_of_basicsr_and_of_one_channel_are_counted() -> None:
    network = {'type': 'MSRResNet', 'num_in_ch': 1, 'num_out_ch': 1, 'num_feat': 8, 'num_block': 1, 'upscale': 4}
    opt = {
        'model_type': 'SRModel',
        'scale': 4,
        'datasets': {'train': {'gt_size': 64}},
        'train': {},
        'network_g': network,
    }
    training, _ = network_tables(opt, (64, 64))
    assert training.rows[0]['input'] == '1x16x16'
    assert training.rows[0]['use'] == 'trained'


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            {'network_g': {**G, 'type': 'MIMOUnet'}},
            "network_g:type: 'MIMOUnet' is not registered; did you mean MIMOUNet",
        ),
        ({'network_g': {**G, 'num_ress': 1}}, "network_g: MIMOUNet: got an unexpected keyword argument 'num_ress'"),
        ({'network_d': 'PatchGAN'}, 'network_d: must be a section with a type'),
        (
            {'network_d': {**D, 'n_layers': 6}},
            'network_d: PatchGANDiscriminator cannot take 3x32x32, 3x64x64, 3x128x128',
        ),
        ({'datasets': {'train': {}}}, 'datasets:train:gt_size: None; must be a whole number'),
        ({'datasets': {'train': 3}}, 'datasets:train: 3 is no section'),
        ({'network_g': None, 'network_d': None}, 'network_g: missing'),
    ],
)
def test_mistakes_are_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        network_tables(options(**changes), (64, 64))
    assert str(caught.value).startswith(message)
    assert '\n' not in str(caught.value)
