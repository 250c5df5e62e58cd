"""Restored, blurry, direct and gain side by side; what is saved and where."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from basicsr.data import build_dataloader, build_dataset
from basicsr.metrics import calculate_psnr
from basicsr.models import build_model
from basicsr.utils import tensor2img
from PIL import Image

from b2b_basicsr.models import Blur2BlurModel

Options = dict[str, Any]
PSNR = {'type': 'calculate_psnr', 'crop_border': 0, 'test_y_channel': False}


class RecordingLogger:
    """What SummaryWriter is asked to write."""

    def __init__(self) -> None:
        self.scalars: dict[str, float] = {}
        self.images: dict[str, tuple[int, ...]] = {}

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.scalars[tag] = value

    def add_image(self, tag: str, image: torch.Tensor, step: int, dataformats: str) -> None:
        assert dataformats == 'HWC'
        assert image.dtype == torch.uint8
        self.images[tag] = tuple(image.shape)


@pytest.fixture
def options(options: Options, tmp_path: Path) -> Options:
    generator = np.random.default_rng(0)
    for name in ('0', '1', '2'):
        for side in ('lq', 'gt'):
            path = tmp_path / side / f'scene{name}' / 'frame.png'
            path.parent.mkdir(parents=True)
            Image.fromarray(generator.integers(0, 256, (37, 45, 3), dtype=np.uint8)).save(path)
    options['val'] = {'val_freq': 1, 'save_img': True, 'metrics': {'psnr': dict(PSNR)}, 'best': 'psnr'}
    deblur = {'type': 'NAFNet', 'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]}
    from b2b_basicsr.archs import NAFNet

    net = NAFNet(width=4, enc_blk_nums=[1], dec_blk_nums=[1])
    torch.save({'params': net.state_dict()}, tmp_path / 'deblur.pth')
    options['network_deblur'] = deblur
    options['path']['pretrain_network_deblur'] = str(tmp_path / 'deblur.pth')
    options['datasets']['val'] = _section(tmp_path, 'set')
    return options


def _section(root: Path, name: str, paired: bool = True) -> Options:
    section = {
        'name': name,
        'phase': 'val',
        'scale': 1,
        'dataroot_lq': str(root / 'lq'),
        'io_backend': {'type': 'disk'},
    }
    if paired:
        return {**section, 'type': 'PairedFolderDataset', 'dataroot_gt': str(root / 'gt')}
    listed = root / 'names.txt'
    listed.write_text('\n'.join(f'scene{i}/frame.png' for i in range(3)))
    return {**section, 'type': 'SingleImageDataset', 'meta_info_file': str(listed)}


def _validate(model: Blur2BlurModel, section: Options, iteration: int = 1, logger: Any = None) -> dict[str, float]:
    loader = build_dataloader(build_dataset(section), section)
    model.validation(loader, iteration, logger, model.opt['val']['save_img'])
    return dict(model.metric_results)


def test_restored_direct_and_gain(options: Options) -> None:
    model = build_model(options)
    section = options['datasets']['val']
    results = _validate(model, section)
    assert set(results) == {'psnr', 'psnr_blurry', 'psnr_direct', 'gain'}
    restored: list[float] = []
    direct: list[float] = []
    blurry: list[float] = []
    with torch.no_grad():
        for sample in build_dataset(section):
            lq, gt = sample['lq'][None], tensor2img([sample['gt']])
            for values, picture in ((restored, model.net_g(lq)[-1]), (direct, lq)):
                values.append(calculate_psnr(tensor2img([model.net_deblur(picture)]), gt, crop_border=0))
            blurry.append(calculate_psnr(tensor2img([lq]), gt, crop_border=0))
    assert results['psnr'] == pytest.approx(np.mean(restored))
    assert results['psnr_direct'] == pytest.approx(np.mean(direct))
    assert results['psnr_blurry'] == pytest.approx(np.mean(blurry))
    assert results['gain'] == pytest.approx(results['psnr'] - results['psnr_direct'])


def test_ema_is_what_is_validated(options: Options) -> None:
    options['train']['ema_decay'] = 0.9
    model = build_model(options)
    before = _validate(model, options['datasets']['val'])
    for parameter in model.net_g.parameters():
        parameter.data.mul_(3)
    assert _validate(model, options['datasets']['val']) == before
    for parameter in model.net_g_ema.parameters():
        parameter.data.mul_(3)
    assert _validate(model, options['datasets']['val']) != before


def test_several_psnr_entries_each_have_a_gain(options: Options) -> None:
    options['val']['metrics'] |= {
        'psnr_y': {**PSNR, 'test_y_channel': True},
        'ssim': {'type': 'calculate_ssim', 'crop_border': 0},
    }
    results = _validate(build_model(options), options['datasets']['val'])
    names = {'psnr', 'psnr_y', 'ssim'}
    baselines = {name + end for name in names for end in ('_blurry', '_direct')}
    assert set(results) == names | baselines | {'gain', 'gain_psnr_y'}
    assert results['gain_psnr_y'] == pytest.approx(results['psnr_y'] - results['psnr_y_direct'])


def test_direct_is_computed_once(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(options)
    first = _validate(model, options['datasets']['val'], 1)
    monkeypatch.setattr(Blur2BlurModel, 'test_direct', lambda self: pytest.fail('deblurred x again'))
    score = Mock(wraps=model.scores.of)
    monkeypatch.setattr(model.scores, 'of', score)
    assert _validate(model, options['datasets']['val'], 2) == first
    assert score.call_count == 3, 'of each of three pictures, the restored one alone'


def test_without_deblurrer_the_translation_is_scored(options: Options) -> None:
    del options['network_deblur']
    assert set(_validate(build_model(options), options['datasets']['val'])) == {'psnr', 'psnr_blurry'}


def test_without_ground_truth_metrics_that_need_none(options: Options, tmp_path: Path) -> None:
    section = _section(tmp_path, 'set', paired=False)
    options['datasets']['val'] = section
    options['val'] |= {'best': None}
    model = build_model(options)
    assert _validate(model, section) == {}
    saved = Path(options['path']['visualization'], 'set')
    assert (saved / 'scene2' / 'frame' / 'frame_1.png').is_file()


def test_without_ground_truth_the_blurry_picture_has_the_metrics_that_need_none(
    options: Options, tmp_path: Path
) -> None:
    for path in (tmp_path / 'lq').rglob('*.png'):  # NIQE's blocks measure 96 pixels
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)).save(path)
    options['val'] |= {'best': None, 'save_img': False}
    options['val']['metrics']['niqe'] = {'type': 'calculate_niqe', 'crop_border': 0}
    found = _validate(build_model(options), _section(tmp_path, 'set', paired=False))
    assert set(found) == {'niqe', 'niqe_blurry', 'niqe_direct'}


def test_several_sets_and_best(options: Options, tmp_path: Path) -> None:
    other = _section(tmp_path, 'other')
    options['datasets']['val_2'] = other
    options['val']['best'] = 'other/gain'
    model = build_model(options)
    best = Path(options['path']['models'], 'net_g_best.pth')
    _validate(model, options['datasets']['val'], 1)
    assert not best.exists()
    _validate(model, other, 1)
    assert best.exists()
    best.unlink()
    _validate(model, other, 2)
    assert not best.exists(), 'the same value is no better'
    assert model.best_metric_results['other']['gain']['iter'] == 1
    model.best_metric_results['other']['gain']['val'] -= 1
    _validate(model, other, 3)
    assert best.exists()


def test_last_validation_has_the_last_iterations_number(options: Options) -> None:
    model = build_model(options)
    _validate(model, options['datasets']['val'], options['train']['total_iter'] + 2)
    assert model.best_metric_results['set']['psnr']['iter'] == options['train']['total_iter']


def test_lower_can_be_better(options: Options) -> None:
    options['val']['metrics']['psnr']['better'] = 'lower'
    model = build_model(options)
    best = Path(options['path']['models'], 'net_g_best.pth')
    value = _validate(model, options['datasets']['val'], 1)['psnr']
    best.unlink()
    model.best_metric_results['set']['psnr']['val'] = value - 1
    _validate(model, options['datasets']['val'], 2)
    assert not best.exists()
    model.best_metric_results['set']['psnr']['val'] = value + 1
    _validate(model, options['datasets']['val'], 3)
    assert best.exists()


def test_pictures_of_the_same_name_do_not_collide(options: Options) -> None:
    model = build_model(options)
    for iteration in (4, 5):
        _validate(model, options['datasets']['val'], iteration)
    root = Path(options['path']['visualization'], 'set')
    names = ['direct', '4', '4_translated', '5', '5_translated']
    wanted = {f'scene{i}/frame/frame_{name}.png' for i in range(3) for name in names}
    assert {path.relative_to(root).as_posix() for path in root.rglob('*.png')} == wanted


def test_pictures_of_a_test(options: Options, tmp_path: Path) -> None:
    model = build_model(options)
    model.save(0, 1)
    options |= {'is_train': False}
    options['path']['results_root'] = str(tmp_path / 'results')
    options['path']['pretrain_network_g'] = str(Path(options['path']['models'], 'net_g_1.pth'))
    del options['train']
    tested = build_model(options)
    loader = build_dataloader(build_dataset(options['datasets']['val']), options['datasets']['val'])
    tested.validation(loader, 'small', None, True)
    assert tested.metric_results == pytest.approx(_validate(model, options['datasets']['val']))
    root = Path(options['path']['visualization'], 'set')
    assert (root / 'scene1' / 'frame_small.png').is_file()
    assert (root / 'scene1' / 'frame_small_direct.png').is_file()
    assert (tmp_path / 'results' / 'set.csv').is_file()


def test_table_of_every_picture(options: Options, tmp_path: Path) -> None:
    model = build_model(options)
    means = _validate(model, options['datasets']['val'], 3)
    _validate(model, options['datasets']['val'], 4)  # saves no direct pictures any more; they are there
    folder = Path(options['path']['visualization'], 'set')
    for iteration in (3, 4):
        with (folder / f'set_{iteration}.csv').open(encoding='utf-8', newline='') as file:
            rows = list(csv.DictReader(file))
        assert [row['picture'] for row in rows] == ['scene0/frame', 'scene1/frame', 'scene2/frame']
        for metric in ('psnr', 'psnr_blurry', 'psnr_direct', 'gain'):
            assert np.mean([float(row[metric]) for row in rows]) == pytest.approx(means[metric])
        for kind in ('lq', 'direct', 'translated', 'restored', 'gt'):
            assert all((folder / row[kind]).is_file() for row in rows), kind
        assert rows[1]['gt'] == str(tmp_path / 'gt' / 'scene1' / 'frame.png')
        with Image.open(folder / rows[1]['restored']) as picture:
            restored = np.asarray(picture)[..., ::-1]
        with Image.open(rows[1]['gt']) as picture:
            sharp = np.asarray(picture)[..., ::-1]
        assert float(rows[1]['psnr']) == pytest.approx(calculate_psnr(restored, sharp, crop_border=0), abs=1e-3)


def test_table_without_ground_truth_names_the_pictures(options: Options, tmp_path: Path) -> None:
    options['val']['metrics'] = None
    model = build_model(options)
    _validate(model, _section(tmp_path, 'set', paired=False))
    with Path(options['path']['visualization'], 'set', 'set_1.csv').open(encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert all(row['restored'] and row['lq'] and not row['gt'] for row in rows)


def test_crop_scores_the_centre(options: Options) -> None:
    options['val']['crop'] = 32
    model = build_model(options)
    _validate(model, options['datasets']['val'])
    saved = Path(options['path']['visualization'], 'set', 'scene0', 'frame', 'frame_1.png')
    assert Image.open(saved).size == (32, 32)
    assert model.lq.shape[-2:] == (32, 32)
    sample = build_dataset(options['datasets']['val'])[2]
    torch.testing.assert_close(model.lq[0], sample['lq'][:, 2:34, 6:38])


def test_tiles_give_nearly_the_untiled_figures(options: Options, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    for side in ('lq', 'gt'):
        levels = generator.integers(0, 256, (100, 150, 3), dtype=np.uint8)
        Image.fromarray(levels).save(tmp_path / side / 'scene0' / 'frame.png')
    whole = _validate(build_model(options), options['datasets']['val'])
    torch.manual_seed(0)
    options['val'] |= {'tile': 64, 'tile_overlap': 32}
    sizes = []
    model = build_model(options)
    model.load_network(model.net_g, _saved(options, model), True, 'params')
    original = model.net_deblur.forward
    model.net_deblur.forward = lambda x: sizes.append(x.shape[-2:]) or original(x)  # type: ignore[func-returns-value]
    tiled = _validate(model, options['datasets']['val'])
    assert max(max(size) for size in sizes) == 64
    assert tiled['psnr_direct'] == pytest.approx(whole['psnr_direct'], abs=0.1)


def _saved(options: Options, model: Blur2BlurModel) -> str:
    model.save(0, 1)
    return str(Path(options['path']['models'], 'net_g_1.pth'))


def test_tensorboard_has_curves_and_pictures(options: Options) -> None:
    options['val']['tb_pictures'] = 2
    logger = RecordingLogger()
    model = build_model(options)
    for iteration in (1, 2):
        results = _validate(model, options['datasets']['val'], iteration, logger)
    assert logger.scalars == {f'metrics/set/{name}': value for name, value in results.items()}
    strip = 'lq | direct | translated | restored | gt'
    assert logger.images == {f'set/scene{i}/frame ({strip})': (37, 5 * 45, 3) for i in range(2)}


def test_best_survives_resuming(options: Options) -> None:
    model = build_model(options)
    _validate(model, options['datasets']['val'], 1)
    model.save(0, 1)
    state = torch.load(Path(options['path']['training_states'], '1.state'), weights_only=True)
    resumed = build_model(options)
    resumed.resume_training(state)
    assert resumed.best_metric_results == model.best_metric_results


def test_what_was_validated_is_known_also_where_nothing_was_scored(options: Options, tmp_path: Path) -> None:
    """Else a resumed training would do it again, each time."""
    options['val'] |= {'metrics': None, 'best': None}
    model = build_model(options)
    assert model.lacks_validation('set', 1)
    _validate(model, options['datasets']['val'])
    assert not model.lacks_validation('set', 1)
    assert model.lacks_validation('set', 2)
    assert model.lacks_validation('another', 1)
    broken = next((tmp_path / 'lq').rglob('*.png'))
    broken.write_bytes(broken.read_bytes()[:100])
    _validate(model, options['datasets']['val'], 2)
    assert not model.lacks_validation('set', 2), 'one picture cannot be read, now or later'
    assert not model.best_metric_results.get('set')
