"""A user's mistakes: one line, exit status 2, nothing on disk."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from b2b_basicsr.archs import PatchGANDiscriminator
from b2b_basicsr.checks import training_check
from b2b_basicsr.checks.network_check import build_without_numbers, check_translator
from b2b_basicsr.models.blur2blur_options import TrainOptions
from tests.checks.conftest import changed, parse

Options = dict[str, Any]


def test_good_options_pass_for_training_and_test(options: Options, write: Callable[..., Path], tmp_path: Path) -> None:
    assert parse(write(options), tmp_path)['train']['total_iter'] == 5
    torch.save({'params': _translator(options)}, tmp_path / 'g.pth')
    options['datasets'] = {'test_1': options['datasets']['val']}
    options['path']['pretrain_network_g'] = str(tmp_path / 'g.pth')
    assert not parse(write(options), tmp_path, is_train=False)['is_train']


def _translator(options: Options) -> dict[str, torch.Tensor]:
    from basicsr.archs import build_network

    state: dict[str, torch.Tensor] = build_network(options['network_g']).state_dict()
    return state


WRONG: list[tuple[Options, str]] = [
    # device
    ({'num_gpu': 64}, r'num_gpu: 64 asked for, \d+ there; set num_gpu: auto'),
    ({'num_gpu': -1}, "num_gpu: -1: must be 'auto', or greater than or equal to 0"),
    # data
    ({'datasets__train__dataroot_blur': 'nowhere'}, "datasets:train:dataroot_blur: no folder 'nowhere'"),
    ({'datasets__train__dataroot_sharp': 'empty'}, "datasets:train:dataroot_sharp: no picture in 'empty'"),
    ({'datasets__train__dataroot_blur': 'broken'}, r'dataroot_blur: .*0\.png cannot be read as a picture'),
    ({'datasets__train__gt_size': 64}, 'measures 48x40, smaller than the crop, gt_size 64'),
    ({'datasets__train__synth_known_opt': ...}, 'exactly one source of the known blur K .* found none'),
    ({'datasets__train__dataroot_known': 'x'}, 'exactly one source of the known blur K .* found 2'),
    (
        {'datasets__train__synth_known_opt': {'lengths': [1, 2]}},
        r'synth_known_opt:lengths: unknown key; did you mean length',
    ),
    ({'datasets__train__dataroot_blurr': 'x'}, r'dataroot_blurr: unknown key; did you mean dataroot_blur'),
    ({'datasets__train__type': 'UnpairedBlurDatset'}, r'UnpairedBlurDataset'),
    ({'datasets__val__dataroot_gt': 'lonely'}, r'have no|has no twin'),
    ({'datasets__val__dataroot_gt': 'nested'}, 'lies in a subfolder, which PairedImageDataset does not see; use type'),
    ({'datasets__val__dataroot_lq': 'old_names'}, r"dataroot_lq: 'b\\udcfc\.png' is no name in UTF-8; rename it"),
    ({'datasets__val__dataroot_lq': ...}, 'datasets:val:dataroot_lq: missing'),
    ({'datasets__val__name': ...}, 'datasets:val:name: missing'),
    ({'scale': 2}, 'scale: 2: blurry and sharp pictures are of one size: set scale: 1'),
    # networks and weights
    ({'network_g': ...}, 'network_g: missing'),
    ({'network_g__type': 'MIMOUnet'}, r"network_g:type: 'MIMOUnet' is not registered; did you mean MIMOUNet\?"),
    ({'network_g__num_re': 3}, r'network_g:num_re: unknown key; did you mean num_res\?'),
    ({'network_d__norm': 'batch'}, "network_d:norm: 'batch': must be 'instance', 'spectral' or 'none'"),
    (
        {'path__pretrain_network_deblur': ...},
        'path:pretrain_network_deblur: missing; give the weights of network_deblur',
    ),
    ({'path__pretrain_network_deblur': 'nowhere.pth'}, "path:pretrain_network_deblur: no file 'nowhere.pth'"),
    (
        {'path__pretrain_network_deblur': 'd.pth'},
        'path:pretrain_network_deblur: .* checkpoint of another network than this NAFNet',
    ),
    (
        {'path__pretrain_network_g': 'd.pth'},
        'path:pretrain_network_g: .* checkpoint of another network than this MIMOUNet',
    ),
    ({'path__pretrain_network_g': 'text.pth'}, 'path:pretrain_network_g: .* cannot be read as weights'),
    # training
    ({'train__perceptual_opt': ..., 'train__pixel_opt': ...}, 'train: no content loss'),
    ({'train__gan_opt': ...}, 'train:gan_opt: missing'),
    ({'train__gp_opt__weight': '1e-4'}, r'train:gp_opt:weight: .*YAML reads 1e-4 as text: write 0.0001'),
    (
        {'train__pixel_opt__type': 'BlockMeansLoss'},
        r"train:pixel_opt:type: 'BlockMeansLoss' .* did you mean BlockMeanLoss\?",
    ),
    ({'train__gan_opt__gan_type': 'hinges'}, "train:gan_opt:gan_type: 'hinges': must be 'vanilla', .* or 'hinge'"),
    ({'train__scheduler__start': 9}, 'train:scheduler:start: 9 is not before total_iter, 5'),
    ({'train__scheduler': {'type': 'LinearDecay'}}, "train:scheduler:type: 'LinearDecay' is unknown"),
    ({'train__optim_g__type': 'SGD'}, "train:optim_g:type: 'SGD': must be 'Adam' or 'AdamW'"),
    ({'train__emma_decay': 0.9}, r'train:emma_decay: unknown key; did you mean ema_decay\?'),
    ({'train__amp': 'fp8'}, "train:amp: 'fp8'"),
    (
        {'train__accum_iter': 2, 'datasets__train__batch_size_per_gpu': 3},
        'train:accum_iter: 2 does not divide batch_size_per_gpu, 3',
    ),
    (
        {
            'train__perceptual_opt': {'type': 'PerceptualLoss', 'layer_weights': {'conv5_4': 1}},
            'train__vgg_weights': 'no.pth',
        },
        "train:vgg_weights: no file 'no.pth'",
    ),
    ({'path__pretrain_netwrok_g': 'x'}, r'path:pretrain_netwrok_g: unknown key; did you mean pretrain_network_g'),
    ({'logger__print_freq': ...}, 'logger:print_freq: missing'),
    ({'model_type': 'Blur2blurModel'}, r"model_type: 'Blur2blurModel' is not registered; did you mean Blur2BlurModel"),
    ({'name': '../evil'}, "name: '../evil': must be the name of a folder: no slashes"),
    ({'netwrk_deblur': {}}, r'netwrk_deblur: unknown key; did you mean network_deblur'),
    ({'manual_seed': '1e2'}, "manual_seed: '1e2': must be a whole number .YAML reads 1e2 as text: write 100"),
    ({'datasets__train__scale': 4}, 'datasets:train:scale: 4: blurry and sharp pictures are'),
    ({'datasets__val__scale': 4}, r'datasets:val:scale: 4: blurry and sharp pictures are of one size: leave it out'),
    ({'datasets__val__mean': [0.5, 0.5], 'datasets__val__std': [1, 1, 1]}, 'datasets:val:mean: 2 numbers; give 3'),
    ({'datasets__val__mean': [], 'datasets__val__std': [1, 1, 1]}, 'datasets:val:mean: 0 numbers; give 3'),
    ({'datasets__val__mean': [0.5, 0.5, 0.5]}, 'datasets:val:mean: needs std, too'),
    ({'datasets__val__mean': [0, 0, 0], 'datasets__val__std': [1, 0, 1]}, 'datasets:val:std: must be above 0'),
    ({'datasets__val__color': 'y'}, 'datasets:val:color: our models take three channels: leave it out'),
    ({'datasets__train__dataset_enlarge_ratio': 3.0e9}, 'dataset_enlarge_ratio: 3000000000.0: must be less than or'),
    (
        {'datasets__val__type': 'PairedFolderDataset', 'datasets__val__meta_info_file': False},
        'datasets:val:meta_info_file: false: must be a text',
    ),
    ({'val__suffix': '../../x'}, "val:suffix: '../../x': must be part of a file name: no slashes"),
    ({'val__suffix': 'a\0b'}, r"val:suffix: 'a.x00b': must be part of a file name: no slashes, no line breaks"),
    ({'val__suffix': 'x' * 250}, "val:suffix: 'x.*: must be part of a file name: 100 bytes at most"),
    ({'path__ignore_resume_networks': ['network_x']}, "ignore_resume_networks: 'network_x' is no network here; there"),
    ({'network_g': {'type': 'MSRResNet', 'num_feat': 4, 'upscale': 1}}, 'network_g: MSRResNet: .*upconv1'),
    ({'manual_seed': -1}, 'manual_seed: -1: must be greater'),
    ({'train__scheduler': {'type': 'MultiStepLR'}}, 'train:scheduler:milestones: missing'),
    ({'train__optim_g__betass': [0.5, 0.9]}, r'train:optim_g:betass: unknown key; did you mean betas\?'),
    ({'train__optim_g__betas': [0.5, 1.9]}, 'train:optim_g:betas:1: 1.9: must be less than 1'),
    ({'train__gan_opt': {'type': 'L1Loss'}}, 'train:gan_opt:type: L1Loss is no GAN loss'),
    (
        {'train__pixel_opt': {'type': 'GANLoss', 'gan_type': 'hinge'}},
        'train:pixel_opt:type: GANLoss is no content loss',
    ),
    (
        {'train__identity_opt': {'type': 'GANLoss', 'gan_type': 'hinge'}},
        'train:identity_opt:type: GANLoss is no content',
    ),
    ({'train__identity_opt': {'type': 'L1Los'}}, "train:identity_opt:type: 'L1Los' is not registered"),
    ({'train__identity_opt': {'type': 'L1Loss', 'weight': 1}}, 'train:identity_opt:weight: unknown key; did you mean'),
    ({'train__scales': 0}, 'train:scales: 0: must be greater than 0'),
    ({'train__scales': 4}, 'train:scales: 4; network_g makes 3 alone: lower scales, or set it to ~ for all'),
    ({'datasets__train__gt_size': 4}, 'network_.: .* cannot take a crop of gt_size 4'),
    (
        {'datasets__train__gt_size': 16},
        "network_d: .* cannot take a crop of gt_size 16, the translator's output of 4 x 4 pixels: .*at least 6",
    ),
    ({'datasets__train__gt_size': '32'}, "gt_size: '32'"),
    (
        {'network_g': {'type': 'MSRResNet', 'num_feat': 4, 'num_block': 1}},
        'network_g: MSRResNet makes .* keeps the size',
    ),
    ({'network_d': {'type': 'NAFNet'}}, 'network_d: NAFNet gives 3 channels; a discriminator gives one score'),
    ({'logger__wandb': {'project': 'x'}}, 'logger:wandb:project: .* set use_tb_logger to true'),
    (
        {'logger__wandb': {'project': 'x'}, 'logger__use_tb_logger': True},
        'logger:wandb:project: wandb is not installed',
    ),
    ({'path__param_key_deblur': 'foo'}, "path:pretrain_network_deblur: .* no weights under 'foo'"),
    # validation
    ({'datasets__val__type': None}, 'datasets:val:type: ~: must be a text'),
    ({'datasets__val__io_backend': 'disk'}, "datasets:val:io_backend: 'disk' is no section; write its keys below it"),
    ({'datasets__val__dataroot_ql': 'x'}, r'datasets:val:dataroot_ql: unknown key; did you mean dataroot_lq'),
    ({'datasets__vall': {'name': 'x'}}, 'datasets:vall: sections are named train, val'),
    ({'datasets__val__dataroot_gt': 'small'}, r'measures 48x40, its sharp twin \S+ 20x40; pairs must be of one size'),
    (
        {'datasets__val__meta_info_file': 'wrong.txt'},
        r"meta_info_file: 'wrong.txt' makes for .*nope\.png, which is not there",
    ),
    ({'datasets__val__meta_info_file': 'nothing.txt'}, "meta_info_file: 'nothing.txt' names no picture"),
    ({'val__metrics__psnr__test_y_chanel': True}, 'psnr:test_y_chanel: unknown key; did you mean test_y_channel'),
    ({'val__metrics__psnr__crop_border': ...}, 'val:metrics:psnr:crop_border: missing'),
    (
        {'datasets__val__type': 'SingleImageDataset', 'datasets__val__dataroot_gt': ...},
        'val:best: psnr needs ground truth, and test has no dataroot_gt',
    ),
    (
        {'val__best': 'lpips'},
        "val:best: 'lpips' is no metric of val:metrics; there are gain, psnr, psnr_blurry, psnr_direct",
    ),
    (
        {'val__metrics': {'a\nb': {'type': 'calculate_psnr', 'crop_border': 0}}, 'val__best': ...},
        r"val:metrics: 'a\\nb' stands in logs and tables: give it a name of one printable line",
    ),
    ({'val__best': 'other/psnr'}, "val:best: no validation set is named 'other'; there are test"),
    (
        {'val__metrics__psnr__type': 'calculate_psrn'},
        r"'calculate_psrn' is not registered; did you mean calculate_psnr",
    ),
    ({'val__tile': 16}, 'val:tile'),
    (
        {'val__tile': 64, 'val__tile_overlap': 64},
        'tile_overlap: overlap is 64; it must be at least 0, and 32 less than the tile, 64',
    ),
]


@pytest.mark.parametrize(('changes', 'message'), WRONG, ids=[re.sub(r'\W+', '_', message)[:40] for _, message in WRONG])
def test_mistake_is_one_line_and_nothing_is_created(
    options: Options, told: Callable[[Options], str], tmp_path: Path, changes: Options, message: str
) -> None:
    _lay_out_wrong_things(tmp_path)
    line = told(changed(options, **changes))
    assert re.match('error: .*' + message, line), line


def _lay_out_wrong_things(root: Path) -> None:
    (root / 'empty').mkdir()
    for folder, name in (('broken', '0.png'), ('lonely', '0.png'), ('nested', 'a/0.png'), ('old_names', 'b\udcfc.png')):
        (root / folder / name).parent.mkdir(parents=True)
        with (root / folder / name).open('wb') as file:
            Image.new('RGB', (48, 40)).save(file, 'PNG')
    (root / 'broken' / '0.png').write_bytes(b'')
    (root / 'small').mkdir()
    for index in range(3):
        Image.new('RGB', (20, 40)).save(root / 'small' / f'{index}.png')
    (root / 'wrong.txt').write_text('nope.png (40,48,3)')
    (root / 'nothing.txt').write_text('')
    torch.save({'params': PatchGANDiscriminator(num_feat=4).state_dict()}, root / 'd.pth')
    (root / 'text.pth').write_text('no weights')


@pytest.mark.parametrize(
    'network',
    [
        {'type': 'SwinIR', 'img_size': 8, 'embed_dim': 8, 'depths': [2], 'num_heads': [2], 'window_size': 4},
        {'type': 'RIDNet', 'in_channels': 3, 'mid_channels': 16, 'out_channels': 3, 'num_block': 1},
    ],
    ids=lambda network: network['type'],
)
def test_basicsrs_networks_that_need_numbers_to_be_built(
    options: Options, write: Callable[..., Path], tmp_path: Path, network: Options
) -> None:
    parse(write(options), tmp_path)
    before = torch.get_rng_state()
    check_network = build_without_numbers({'network_g': network}, 'network_g')
    check_translator('network_g', check_network, 32)
    assert torch.equal(torch.get_rng_state(), before)
    opt = changed(options, network_g=network, datasets__train__gt_size=32)
    assert parse(write(opt), tmp_path)['network_g'] == network


def test_direct_deblurring_and_fewer_scales_pass(
    options: Options, write: Callable[..., Path], tmp_path: Path, data: Path
) -> None:
    direct = changed(
        options,
        datasets__train__dataroot_sharp=...,
        datasets__train__synth_known_opt=...,
        datasets__train__dataroot_known=str(data / 'S'),
        network_deblur=...,
        path__pretrain_network_deblur=...,
    )
    assert parse(write(direct), tmp_path)['datasets']['train']['dataroot_known'] == str(data / 'S')
    # D need not take the quarter of the crop, which is not judged: of 4 pixels it could make nothing.
    small = changed(direct, train__scales=2, datasets__train__gt_size=16, train__identity_opt={'type': 'L1Loss'})
    assert parse(write(small), tmp_path)['train']['scales'] == 2


def test_iterations_as_basicsr_writes_them(options: Options, write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(changed(options, train__scheduler={'type': 'MultiStepLR', 'milestones': [2.0, 4.0]}))
    path.write_text(path.read_text().replace('total_iter: 5\n', 'total_iter: !!float 5\n  warmup_iter: !!float 2\n'))
    opt = parse(path, tmp_path)
    assert TrainOptions.from_options('train', opt['train']).total_iter == 5
    schedule = changed(options, train__scheduler={'type': 'LinearDecayLR', 'start': 2.0}, train__total_iter=5.0)
    assert parse(write(schedule), tmp_path)['train']['total_iter'] == 5


@pytest.mark.parametrize(('asked', 'passes'), [('auto', True), (2, False), (1, True)])
def test_auto_is_one_gpu_of_several(
    options: Options,
    write: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: Any,
    passes: bool,
) -> None:
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    path = write({**options, 'num_gpu': asked})
    if passes:
        assert parse(path, tmp_path)['num_gpu'] == 1
        return
    with pytest.raises(SystemExit):
        parse(path, tmp_path)
    said = capsys.readouterr().err
    assert 'num_gpu: 2 in one process would be DataParallel' in said
    assert 'torchrun --nproc_per_node 2 basicsr/train.py -opt FILE --launcher pytorch' in said


def test_validation_sets_need_names_of_their_own(
    options: Options, write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options['datasets']['val_2'] = deepcopy(options['datasets']['val'])
    with pytest.raises(SystemExit):
        parse(write(options), tmp_path)
    assert "datasets:val_2:name: 'test' is the name of datasets:val, too" in capsys.readouterr().err


def test_known_pairs_need_network_k(
    options: Options, write: Callable[..., Path], tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = options['datasets']['train']
    del train['synth_known_opt']
    train |= {'dataroot_known_blur': str(data / 'test_lq'), 'dataroot_known_sharp': str(data / 'test_gt')}
    with pytest.raises(SystemExit):
        parse(write(options), tmp_path)
    assert 'network_k: missing' in capsys.readouterr().err


def test_pairs_that_do_not_match(
    options: Options, write: Callable[..., Path], tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'lonely').mkdir()
    Image.new('RGB', (48, 40)).save(tmp_path / 'lonely' / '7.png')
    train = options['datasets']['train']
    del train['synth_known_opt']
    train |= {'dataroot_known_blur': 'lonely', 'dataroot_known_sharp': str(data / 'S')}
    options['network_k'] = {'type': 'NAFNet'}
    options['path']['pretrain_network_k'] = 'nowhere.pth'
    with pytest.raises(SystemExit):
        parse(write(options), tmp_path)
    err = capsys.readouterr().err
    assert 'pretrain_network_k: no file' in err


def test_a_test_needs_the_translators_weights(
    options: Options, write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options['datasets'] = {'test_1': options['datasets']['val']}
    with pytest.raises(SystemExit):
        parse(write(options), tmp_path, is_train=False)
    assert (
        'path:pretrain_network_g: missing; give the weights of network_g (a test needs them)' in capsys.readouterr().err
    )


def test_what_basicsr_reads_without_a_default_is_filled_in(
    options: Options, write: Callable[..., Path], tmp_path: Path
) -> None:
    del options['val']['save_img'], options['val']['val_freq'], options['scale']
    opt = parse(write(options), tmp_path)
    assert opt['val']['save_img'] is False
    assert opt['val']['val_freq'] == 5000
    assert opt['datasets']['val']['scale'] == 1


def test_checked_lmdb_can_be_opened_by_basicsr(
    options: Options, write: Callable[..., Path], tmp_path: Path, data: Path
) -> None:
    from basicsr.data import build_dataset
    from basicsr.utils.lmdb_util import make_lmdb_from_imgs

    for side in ('lq', 'gt'):
        packed = tmp_path / f'{side}.lmdb'
        names = [f'{index}.png' for index in range(3)]
        make_lmdb_from_imgs(str(data / f'test_{side}'), str(packed), names, ['0', '1', '2'])
        options['datasets']['val'][f'dataroot_{side}'] = str(packed)
    options['datasets']['val']['io_backend'] = {'type': 'lmdb'}
    opt = parse(write(options), tmp_path)
    assert build_dataset(opt['datasets']['val'])[1]['lq'].shape == (3, 40, 48)


def test_vgg_that_cannot_be_downloaded_is_told_before_anything_is_created(
    options: Options,
    write: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def offline(*args: Any, **kwargs: Any) -> None:
        raise OSError('no network')

    vgg = {'type': 'PerceptualLoss', 'layer_weights': {'relu2_2': 1.0}, 'vgg_type': 'vgg16'}
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', offline)
    path = write(changed(options, train__perceptual_opt=vgg))
    with pytest.raises(SystemExit):
        parse(path, tmp_path)
    assert 'train:vgg_weights: vgg16 is not in' in capsys.readouterr().err, 'no network without being asked'
    path = write(changed(options, train__perceptual_opt=vgg, train__vgg_weights='download'))
    with pytest.raises(SystemExit):
        parse(path, tmp_path)
    assert 'train:vgg_weights: vgg16 could not be downloaded' in capsys.readouterr().err
    assert {file.name for file in tmp_path.iterdir()} == {path.name, 'torch'}


def test_weights_that_do_not_fit_pass_where_strict_load_is_off(
    options: Options, write: Callable[..., Path], tmp_path: Path
) -> None:
    torch.save({'params': {'part': torch.zeros(1)}}, tmp_path / 'g.pth')
    options['path'] |= {'pretrain_network_g': 'g.pth', 'strict_load_g': False}
    parse(write(options), tmp_path)


def test_other_peoples_option_files_are_left_alone(
    options: Options, write: Callable[..., Path], tmp_path: Path
) -> None:
    options |= {'model_type': 'SRModel', 'anything': 1}
    options['datasets'] = {'train': {'type': 'PairedImageDataset', 'dataroot_gt': 'nowhere', 'name': 'x'}}
    options['train']['emma_decay'] = 0.9
    assert parse(write(options), tmp_path)['anything'] == 1


def test_shipped_option_files_are_known_to_the_schema(tmp_path: Path) -> None:
    """Every key of every shipped file passes; what is missing here is the data that they name."""
    from b2b_basicsr.data.unpaired_blur_options import UnpairedBlurOptions
    from b2b_basicsr.models.blur2blur_options import PathOptions, TrainOptions
    from b2b_basicsr.models.deblur_options import DeblurTrainOptions
    from b2b_basicsr.models.kernel_wizard_options import KernelTrainOptions
    from b2b_basicsr.models.training_options import BasePathOptions
    from b2b_basicsr.models.val_options import RestorationValOptions, ValOptions
    from b2b_basicsr.shipped_options import shipped_option_files

    seen = set()
    for file in shipped_option_files():
        opt = yaml.safe_load(_plain_floats(file))
        kind = opt['model_type']
        if kind not in ('Blur2BlurModel', 'DeblurModel', 'KernelWizardModel'):
            continue
        seen.add((kind, 'train' in opt))
        (PathOptions if kind == 'Blur2BlurModel' else BasePathOptions).from_options('path', opt['path'])
        (ValOptions if kind == 'KernelWizardModel' else RestorationValOptions).from_options('val', opt['val'])
        if 'train' not in opt:
            continue
        if kind == 'Blur2BlurModel':
            TrainOptions.from_options('train', opt['train'])
            UnpairedBlurOptions.from_options('datasets:train', opt['datasets']['train'])
        else:
            (DeblurTrainOptions if kind == 'DeblurModel' else KernelTrainOptions).from_options('train', opt['train'])
    trained = {('Blur2BlurModel', True), ('DeblurModel', True), ('KernelWizardModel', True)}
    assert seen == {*trained, ('Blur2BlurModel', False), ('DeblurModel', False)}


def _plain_floats(file: Path) -> str:
    return file.read_text(encoding='utf-8')


def test_network_k_beside_another_source_of_k_needs_no_weights(
    options: Options, write: Callable[..., Path], tmp_path: Path
) -> None:
    options['network_k'] = {'type': 'KernelWizard'}
    options['path']['pretrain_network_k'] = 'not_there.pth'
    assert parse(write(options), tmp_path)['is_train']


def test_nothing_to_compile_with(
    options: Options, told: Callable[[Options], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_check, 'missing_for_compile', lambda device_type: f'compiler for {device_type}')
    line = told(changed(options, train__compile=True))
    assert 'train:compile: torch.compile finds no compiler for cpu; install it, or' in line
