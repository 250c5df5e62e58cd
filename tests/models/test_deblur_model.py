"""Training, validation and resuming of a small deblurrer."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from basicsr.data import build_dataloader, build_dataset
from basicsr.metrics import calculate_psnr
from basicsr.models import build_model
from basicsr.utils import tensor2img
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from b2b_basicsr.errors import UserError

Options = dict[str, Any]
STAGES = [
    {'iterations': 2, 'gt_size': 8, 'batch_size_per_gpu': 4},
    {'iterations': 2, 'gt_size': 16, 'batch_size_per_gpu': 2},
    {'iterations': 2, 'gt_size': 32, 'batch_size_per_gpu': 1},
]


@pytest.fixture
def deblur_options(options: Options) -> Options:
    """Parsed options of a small training."""
    for key in ('network_d', 'network_g'):
        options.pop(key)
    options |= {
        'model_type': 'DeblurModel',
        'network_g': {'type': 'NAFNet', 'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]},
        'val': {'best': 'psnr', 'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 0}}},
    }
    options['train'] = {
        'optim_g': {'type': 'AdamW', 'lr': 2e-3, 'weight_decay': 1e-3, 'betas': [0.9, 0.9]},
        'scheduler': {'type': 'ConstantCosineLR', 'start': 2, 'eta_min': 1e-6},
        'total_iter': 6,
        'pixel_opt': {'type': 'L1Loss'},
    }
    return options


def _batch(seed: int) -> dict[str, Tensor]:
    """Four pairs: random pictures and their horizontal means over three pixels."""
    gt = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
    return {'lq': F.avg_pool2d(gt, (1, 3), 1, (0, 1)), 'gt': gt}


def _train(model: Any, first: int, last: int) -> list[tuple[int, ...]]:
    """Trains iterations; the shapes of what was fed."""
    shapes = []
    for iteration in range(first, last + 1):
        model.update_learning_rate(iteration)
        model.feed_data(_batch(iteration))
        model.optimize_parameters(iteration)
        assert model.lq.shape == model.gt.shape
        shapes.append(tuple(model.lq.shape))
    return shapes


def _weights(net: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


def test_one_step_is_adamws(deblur_options: Options) -> None:
    """Against the same network, loss and optimiser by hand."""
    torch.manual_seed(0)
    model = build_model(deblur_options)
    alone = deepcopy(model.net_g)
    optimizer = torch.optim.AdamW(alone.parameters(), lr=2e-3, weight_decay=1e-3, betas=(0.9, 0.9))
    _train(model, 1, 1)
    loss = F.l1_loss(alone(_batch(1)['lq']), _batch(1)['gt'])
    loss.backward()
    optimizer.step()
    assert torch.allclose(_weights(model.net_g), _weights(alone), atol=1e-7)
    assert dict(model.get_current_log()) == {'l_pix': pytest.approx(float(loss))}


@pytest.mark.parametrize('limit', [0.01, 1e6])
def test_gradients_are_clipped_by_their_norm(deblur_options: Options, limit: float) -> None:
    torch.manual_seed(0)
    deblur_options['train']['max_grad_norm'] = limit
    model = build_model(deblur_options)
    _train(model, 1, 1)
    norm = float(torch.stack([parameter.grad.norm() for parameter in model.net_g.parameters()]).norm())
    before = model.get_current_log()['grad_norm']
    assert before > 0.01, 'the norm that is logged is the one before clipping'
    assert norm == pytest.approx(min(limit, before), rel=1e-3)


def test_patches_grow_and_batches_shrink(deblur_options: Options) -> None:
    deblur_options['train']['progressive_patches'] = STAGES
    seen: list[tuple[int, ...]] = []
    model = build_model(deblur_options)
    model.net_g.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    assert _train(model, 1, 6) == seen
    assert seen == [(4, 3, 8, 8)] * 2 + [(2, 3, 16, 16)] * 2 + [(1, 3, 32, 32)] * 2


@pytest.mark.parametrize('saved_at', [2, 3])
def test_resumed_training_gives_the_same_weights(deblur_options: Options, tmp_path: Path, saved_at: int) -> None:
    """Over the stages' boundaries, with patches, mixing, clipping and EMA."""
    deblur_options['train'] |= {
        'progressive_patches': STAGES,
        'mixup_opt': {'beta': 1.2, 'use_identity': True},
        'max_grad_norm': 0.05,
        'ema_decay': 0.5,
    }
    torch.manual_seed(0)
    model = build_model(deepcopy(deblur_options))
    _train(model, 1, saved_at)
    model.save(0, saved_at)
    _train(model, saved_at + 1, 6)

    torch.manual_seed(1)
    deblur_options['path']['pretrain_network_g'] = str(tmp_path / 'models' / f'net_g_{saved_at}.pth')
    again = build_model(deepcopy(deblur_options))
    again.resume_training(torch.load(tmp_path / 'training_states' / f'{saved_at}.state', weights_only=True))
    _train(again, saved_at + 1, 6)
    assert torch.equal(_weights(again.net_g), _weights(model.net_g))
    assert torch.equal(_weights(again.net_g_ema), _weights(model.net_g_ema))


def test_every_output_of_a_network_is_held_to_the_sharp_picture(deblur_options: Options) -> None:
    deblur_options['network_g'] = {'type': 'MIMOUNet', 'num_res': 1, 'base_channel': 4}
    model = build_model(deblur_options)
    batch = _batch(1)
    with torch.no_grad():
        outputs = model.net_g(batch['lq'])
    expected = sum(
        float(F.l1_loss(output, F.interpolate(batch['gt'], output.shape[-2:], mode='bilinear', align_corners=False)))
        for output in outputs
    )
    assert len(outputs) == 3
    _train(model, 1, 1)
    assert model.get_current_log()['l_pix'] == pytest.approx(expected, rel=1e-5)
    assert torch.equal(model.output, outputs[-1])
    model.test()
    assert model.output.shape == batch['lq'].shape


def test_perceptual_loss_stands_beside_the_pixels(deblur_options: Options) -> None:
    deblur_options['train']['perceptual_opt'] = {'type': 'RandomFeatureLoss', 'num_feat': 4, 'num_conv': [1, 1]}
    model = build_model(deblur_options)
    _train(model, 1, 1)
    assert set(model.get_current_log()) == {'l_pix', 'l_percep'}


def test_bf16_and_channels_last(deblur_options: Options) -> None:
    deblur_options['train'] |= {'amp': 'bf16', 'channels_last': True, 'progressive_patches': STAGES, 'ema_decay': 0.5}
    kinds: list[torch.dtype] = []
    model = build_model(deblur_options)
    model.net_g.intro.register_forward_hook(lambda _, inputs, output: kinds.append(output.dtype))
    _train(model, 1, 4)
    assert set(kinds) == {torch.bfloat16}
    assert model.lq.is_contiguous(memory_format=torch.channels_last)
    assert model.output.dtype == torch.float32
    assert {parameter.dtype for parameter in model.net_g.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ('train', 'message'),
    [
        ({'optim_g': {'type': 'SGD', 'lr': 1e-3}}, "train:optim_g:type: 'SGD': must be 'Adam' or 'AdamW'"),
        ({'grad_clip': 1.0}, 'train:grad_clip: unknown key'),
    ],
)
def test_wrong_settings_are_refused(deblur_options: Options, train: Options, message: str) -> None:
    deblur_options['train'] |= train
    with pytest.raises(UserError, match=message):
        build_model(deblur_options)


def test_pictures_without_a_sharp_twin_are_refused(deblur_options: Options) -> None:
    model = build_model(deblur_options)
    model.feed_data({'lq': torch.rand(1, 3, 8, 8)})
    with pytest.raises(UserError, match='needs pairs'):
        model.optimize_parameters(1)


# ---------------------------------------------------------------------------------------------------- validation


@pytest.fixture
def section(tmp_path: Path, deblur_options: Options) -> Options:
    """A validation set: two pairs whose files have the same name in two folders."""
    generator = np.random.default_rng(0)
    for scene in ('a', 'b'):
        for side in ('lq', 'gt'):
            path = tmp_path / side / scene / 'frame.png'
            path.parent.mkdir(parents=True)
            Image.fromarray(generator.integers(0, 256, (70, 90, 3), dtype=np.uint8)).save(path)
    roots = {f'dataroot_{side}': str(tmp_path / side) for side in ('lq', 'gt')}
    section = {'name': 'set', 'phase': 'val', 'scale': 1, 'type': 'PairedFolderDataset', **roots}
    section['io_backend'] = {'type': 'disk'}
    deblur_options['datasets'] = {'train': {}, 'val': section}
    return section


Validate = Callable[..., dict[str, float]]


@pytest.fixture
def validate(section: Options) -> Validate:
    def run(model: Any, iteration: int = 1, *, save_img: bool = False, logger: Any = None) -> dict[str, float]:
        section['io_backend'] = {'type': 'disk'}
        model.validation(build_dataloader(build_dataset(section), section), iteration, logger, save_img)
        return dict(model.metric_results)

    return run


def _levels(picture: Tensor) -> Any:
    return tensor2img([picture.detach()])


def test_deblurred_blurry_and_gain(deblur_options: Options, section: Options, validate: Validate) -> None:
    model = build_model(deblur_options)
    found = validate(model)
    pairs = [(sample['lq'][None], sample['gt'][None]) for sample in build_dataset(section)]
    model.net_g.eval()
    blurry = np.mean([calculate_psnr(_levels(lq), _levels(gt), crop_border=0) for lq, gt in pairs])
    deblurred = np.mean([calculate_psnr(_levels(model.net_g(lq)), _levels(gt), crop_border=0) for lq, gt in pairs])
    assert found == pytest.approx({'psnr': deblurred, 'psnr_blurry': blurry, 'gain': deblurred - blurry})


def test_ema_is_scored_and_training_goes_on(deblur_options: Options, validate: Validate) -> None:
    deblur_options['train']['ema_decay'] = 0.9
    model = build_model(deblur_options)
    before = validate(model)
    model.net_g.ending.weight.data.mul_(3)
    assert validate(model) == before
    model.net_g_ema.ending.weight.data.mul_(3)
    assert validate(model)['psnr'] != before['psnr']
    assert model.net_g.training
    assert not model.net_g_ema.training


def test_crop_and_tiles(deblur_options: Options, section: Options, validate: Validate) -> None:
    deblur_options['val'] |= {'crop': 40}
    model = build_model(deblur_options)
    validate(model)
    assert model.output.shape[-2:] == (40, 40)
    model.val_settings = model.val_settings.model_copy(update={'crop': None, 'tile': 64, 'tile_overlap': 32})
    seen: list[tuple[int, ...]] = []
    model.net_g.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[-2:])))
    validate(model)
    assert model.output.shape[-2:] == (70, 90)
    assert len(seen) > 2
    assert max(side for shape in seen for side in shape) <= 64


def test_best_and_saved_pictures(deblur_options: Options, validate: Validate, tmp_path: Path) -> None:
    model = build_model(deblur_options)
    validate(model, 3, save_img=True)
    folder = tmp_path / 'visualization' / 'set'
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*.png')) == [
        'a/frame/frame_3.png',
        'b/frame/frame_3.png',
    ]
    assert np.array_equal(np.asarray(Image.open(folder / 'b/frame/frame_3.png')), _levels(model.output)[..., ::-1])
    best = torch.load(tmp_path / 'models' / 'net_g_best.pth', weights_only=True)
    assert best['network'] == deblur_options['network_g']
    table = (folder / 'set_3.csv').read_text().splitlines()
    assert table[0].startswith('picture,psnr,psnr_blurry,gain,')
    assert table[1].startswith('a/frame,')
    assert 'a/frame/frame_3.png' in table[1]


def test_a_test_without_ground_truth(
    deblur_options: Options, section: Options, validate: Validate, tmp_path: Path
) -> None:
    del section['dataroot_gt']
    section['type'] = 'SingleFolderDataset'
    deblur_options['val']['suffix'] = 'sharp'
    deblur_options['is_train'] = False
    deblur_options['path']['results_root'] = str(tmp_path / 'results')
    model = build_model(deblur_options)
    model.feed_data(_batch(1))
    loader = build_dataloader(build_dataset(section), section)
    model.validation(loader, 'test', None, True)
    assert model.metric_results == {}
    assert (tmp_path / 'visualization' / 'set' / 'a' / 'frame_sharp.png').is_file()


def test_pictures_for_tensorboard(deblur_options: Options, validate: Validate) -> None:
    class Recorder:
        def __init__(self) -> None:
            self.scalars: set[str] = set()
            self.images: dict[str, tuple[int, ...]] = {}

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            self.scalars.add(tag)

        def add_image(self, tag: str, image: Tensor, step: int, dataformats: str) -> None:
            self.images[tag] = tuple(image.shape)

    deblur_options['val']['tb_pictures'] = 1
    recorder = Recorder()
    validate(build_model(deblur_options), logger=recorder)
    assert recorder.scalars == {f'metrics/set/{name}' for name in ('psnr', 'psnr_blurry', 'gain')}
    assert recorder.images == {'set/a/frame (lq | restored | gt)': (70, 270, 3)}
