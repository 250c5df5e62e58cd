"""Two processes do what one does: gradients, validation, random numbers."""

from __future__ import annotations

import contextlib
import csv
import json
import socket
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from basicsr.data import build_dataloader, build_dataset
from basicsr.models import build_model
from PIL import Image
from torch.multiprocessing.spawn import spawn

from tests.models import two_processes

Options = dict[str, Any]
ADAM: Options = {'type': 'Adam', 'lr': 2e-4, 'betas': [0.5, 0.999]}
MIMO: Options = {'type': 'MIMOUNet', 'num_res': 1, 'base_channel': 8}
WIZARD: Options = {'type': 'KernelWizard', 'nf': 4, 'front_RBs': 1, 'back_RBs': 1, 'kernel_dim': 4, 'n_blocks': 1}


def _trained(name: str, root: Path, **changed: Any) -> Options:
    """Parsed options of a small training."""
    paths = {kind: str(root / name / kind) for kind in ('models', 'training_states', 'visualization', 'results_root')}
    for path in paths.values():
        Path(path).mkdir(parents=True, exist_ok=True)
    train = {'optim_g': dict(ADAM), 'scheduler': {'type': 'LinearDecayLR', 'start': 2}, 'total_iter': 6}
    opt: Options = {
        'name': name,
        'num_gpu': 0,
        'is_train': True,
        'dist': False,
        'rank': 0,
        'world_size': 1,
        'manual_seed': 0,
        'path': paths,
        'datasets': {},
        'network_g': MIMO,
        **changed,
    }
    return deepcopy({**opt, 'train': {**train, **changed['train']}})


def _blur2blur(name: str, root: Path, **train: Any) -> Options:
    discriminator = {'type': 'PatchGANDiscriminator', 'num_feat': 8, 'n_layers': 1, 'norm': 'instance'}
    losses = {
        'pixel_opt': {'type': 'BlockMeanLoss'},
        'perceptual_opt': {'type': 'RandomFeatureLoss', 'num_feat': 4, 'num_conv': [1, 1]},
        'gan_opt': {'type': 'GANLoss', 'gan_type': 'hinge', 'loss_weight': 0.5},
        'gp_opt': {'weight': 1.0},
    }
    return _trained(
        name,
        root,
        model_type='Blur2BlurModel',
        network_d=discriminator,
        train={'optim_d': dict(ADAM), 'ema_decay': 0.5, **losses, **train},
    )


def _gradient_options(root: Path) -> dict[str, Options]:
    spectral = _blur2blur('spectral', root, gp_opt=None)
    spectral['network_d']['norm'] = 'spectral'
    # Gradients that are half as large make steps as large only where eps is nothing to them.
    optimizer = {'optim_g': {**ADAM, 'eps': 1e-20}}
    summed = {**optimizer, 'pixel_opt': {'type': 'CharbonnierLoss', 'reduction': 'sum', 'eps': 1e-6}}
    return {
        'blur2blur': _blur2blur('blur2blur', root, net_d_iters=2),
        'blur2blur in bf16': _blur2blur('bf16', root, amp='bf16', gp_opt=None),
        'blur2blur spectral': spectral,
        'blur2blur in parts': _blur2blur('parts', root, accum_iter=2),
        'blur2blur identity': _blur2blur('identity', root, identity_opt={'type': 'L1Loss'}, scales=1, gp_opt=None),
        'deblur': _trained('deblur', root, model_type='DeblurModel', train={'pixel_opt': {'type': 'L1Loss'}}),
        'kernel': _trained('kernel', root, model_type='KernelWizardModel', network_g=WIZARD, train=summed),
    }


def _averaged_options(root: Path) -> Options:
    """A training from a checkpoint that lacks a layer."""
    opt = _trained(
        'averaged', root, model_type='DeblurModel', train={'pixel_opt': {'type': 'L1Loss'}, 'ema_decay': 0.5}
    )
    state = build_model(deepcopy(opt)).net_g.state_dict()
    lacked = next(iter(state))
    path = root / 'averaged' / 'lacking.pth'
    whole = {name: tensor for name, tensor in state.items() if name != lacked}
    torch.save({'params': whole, 'params_ema': whole}, path)
    opt['path'] |= {'pretrain_network_g': str(path), 'strict_load_g': False}
    return opt


def _set(root: Path, name: str, pictures: list[str]) -> Options:
    """A set of pairs."""
    generator = np.random.default_rng(len(name))
    for side in ('lq', 'gt'):
        for picture in pictures:
            path = root / name / side / picture
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 256, (37, 45, 3), dtype=np.uint8)).save(path)
    section = {'name': name, 'phase': 'val', 'scale': 1, 'io_backend': {'type': 'disk'}, 'type': 'PairedFolderDataset'}
    return {**section, 'dataroot_lq': str(root / name / 'lq'), 'dataroot_gt': str(root / name / 'gt')}


def _validated_options(root: Path) -> Options:
    opt = _blur2blur('validated', root, ema_decay=0)
    # The first process's 1.png and the second one's 1.jpg: which gets the short name hangs on the set's order.
    alike = {**_set(root, 'alike', ['0.png', '1.jpg', '1.png']), 'type': 'SingleFolderDataset'}
    del alike['dataroot_gt']
    sets = [_set(root, 'three', ['0.png', '1.png', '2.png']), _set(root, 'one', ['0.png']), alike]
    opt['datasets'] = {f'val_{place}': section for place, section in enumerate(sets)}
    opt['val'] = {'best': 'one/psnr', 'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 0}}}
    torch.manual_seed(5)
    net = build_model(deepcopy(opt)).net_g
    opt['path']['weights'] = str(root / 'weights.pth')
    torch.save({'params': net.state_dict()}, opt['path']['weights'])
    return opt


def _deblur_file(root: Path) -> Options:
    """What an option file may say."""
    loader = {'num_worker_per_gpu': 0, 'batch_size_per_gpu': 1, 'gt_size': 16, 'use_hflip': False, 'use_rot': False}
    train = {**_set(root, 'train', ['0.png']), 'type': 'PairedFolderDataset', **loader}
    optimisation = {'optim_g': dict(ADAM), 'scheduler': {'type': 'LinearDecayLR', 'start': 2}, 'total_iter': 6}
    return {
        'name': 'told',
        'model_type': 'DeblurModel',
        'num_gpu': 'auto',
        'manual_seed': 0,
        'datasets': {'train': {key: value for key, value in train.items() if key not in ('phase', 'scale')}},
        'network_g': {'type': 'NAFNet', 'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]},
        'path': {},
        'train': {**optimisation, 'pixel_opt': {'type': 'L1Loss'}},
        'logger': {'print_freq': 1, 'save_checkpoint_freq': 5, 'use_tb_logger': False},
    }


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('two')


@pytest.fixture(scope='module')
def validated(root: Path) -> Options:
    return _validated_options(root)


@pytest.fixture(scope='module')
def found(root: Path, validated: Options) -> list[dict[str, Any]]:
    """What each of two processes found."""
    right = _deblur_file(root)
    (root / 'right.yml').write_text(yaml.safe_dump(right))
    (root / 'mistaken.yml').write_text(yaml.safe_dump({**right, 'manual_seed': 'seven'}))
    with contextlib.ExitStack() as bound:
        sockets = [bound.enter_context(socket.socket()) for _ in range(3)]
        for free in sockets:
            free.bind(('127.0.0.1', 0))
        ports = [free.getsockname()[1] for free in sockets]
    arguments = (ports, root, _gradient_options(root), _averaged_options(root), validated)
    spawn(two_processes.run, arguments, nprocs=two_processes.COUNT)
    return [torch.load(root / f'{rank}.pt', weights_only=False) for rank in range(two_processes.COUNT)]


GRADIENTS = (
    *('blur2blur', 'blur2blur in bf16', 'blur2blur spectral', 'blur2blur in parts', 'blur2blur identity'),
    *('deblur', 'kernel'),
)


@pytest.mark.parametrize('name', GRADIENTS)
def test_gradients_are_those_of_one_process_on_the_joined_batch(found: list[dict[str, Any]], name: str) -> None:
    bf16 = 'bf16' in name
    scale = two_processes.COUNT if name == 'kernel' else 1  # its losses are sums over a batch, the gradients a mean
    for one in found:
        joined, shared = one[name]['joined'], one[name]['shared']
        gradients = [entry for entry in joined if entry.startswith('net_')]
        assert {entry.split('.')[0] for entry in gradients} == {'net_g', *(['net_d'] if 'blur2blur' in name else [])}
        assert joined.keys() == shared.keys()
        largest = max(float(joined[entry].norm()) for entry in gradients)
        for entry in gradients:
            assert joined[entry].dtype == (torch.float32 if bf16 else torch.float64)
            # Biases before a norm, and D's last one, have the gradient zero, which is rounding errors.
            share, least = (5e-2, 5e-2) if bf16 else (1e-5, 1e-14)
            allowed = max(share * float(joined[entry].norm()), least * largest)
            assert float((joined[entry] - scale * shared[entry]).norm()) <= allowed, entry
    first = found[0][name]
    for entry, value in first['joined'].items():
        if entry.startswith('log.'):
            assert float(scale * first['shared'][entry]) == pytest.approx(float(value), rel=5e-2 if bf16 else 1e-5), (
                entry
            )


def test_the_average_of_weights_that_a_checkpoint_lacks_is_the_first_ones(found: list[dict[str, Any]]) -> None:
    first, second = (one['average'] for one in found)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope='module')
def alone(validated: Options, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, dict[str, float]]]:
    """A model that validated alone, and its means."""
    opt = deepcopy(validated)
    opt['path'] |= _trained('alone', tmp_path_factory.mktemp('alone'), train={})['path']
    model = build_model(deepcopy(opt))
    model.load_network(model.net_g, opt['path']['weights'])
    means = {}
    for phase in ('val_0', 'val_1', 'val_2'):
        section = opt['datasets'][phase]
        model.validation(build_dataloader(build_dataset(section), section), 1, None, True)
        means[section['name']] = dict(model.metric_results)
    return model, means


def test_validation_gives_every_process_what_one_gets(found: list[dict[str, Any]], alone: Any) -> None:
    model, means = alone
    for one in found:
        assert {name: one[f'means of {name}'] for name in means} == means
        assert one['best'] == model.best_metric_results
        assert one['tested'] == means['three']


def test_validation_leaves_the_files_of_one(found: list[dict[str, Any]], alone: Any, validated: Options) -> None:
    roots = [Path(paths['visualization']) for paths in (validated['path'], alone[0].opt['path'])]
    named = [
        {path.relative_to(root).as_posix(): path for path in root.rglob('*.*') if path.is_file()} for root in roots
    ]
    del named[0]['three/three_2.csv']  # of one more validation, without the second picture
    assert named[0].keys() == named[1].keys()
    assert {'three/three_1.csv', 'one/one_1.csv', 'alike/1/1_1.png', 'alike/1.png/1.png_1.png'} <= named[0].keys()
    for name, path in named[0].items():
        assert path.read_bytes() == named[1][name].read_bytes(), name
    with named[0]['alike/alike_1.csv'].open(newline='') as table:
        assert [row['picture'] for row in csv.DictReader(table)] == ['0', '1', '1.png']
    assert Path(validated['path']['models'], 'net_g_best.pth').is_file()
    histories = [Path(opt['path']['training_states'], 'validations.jsonl') for opt in (validated, alone[0].opt)]
    lines = [[json.loads(line) for line in history.read_text().splitlines()] for history in histories]
    assert lines[0].pop() == {'iter': 2, 'dataset': 'three', 'values': {}}, 'done without the second picture'
    assert lines[0] == lines[1]
    assert [line['dataset'] for line in lines[0]] == ['three', 'one', 'alike']


def test_a_test_leaves_the_table_of_a_training(found: list[dict[str, Any]], validated: Options) -> None:
    columns = ('picture', 'psnr', 'psnr_blurry', 'lq', 'gt')
    rows = []
    for table in ('visualization/three/three_1.csv', 'results_root/three.csv'):
        path = Path(validated['path']['models']).parent / table
        with path.open(newline='') as file:
            rows.append([{column: row[column] for column in columns} for row in csv.DictReader(file)])
    assert rows[0] == rows[1]


def _line(file: Path, key: str) -> int:
    return [line.partition(':')[0] for line in file.read_text().splitlines()].index(key) + 1


def test_a_mistake_in_the_options_is_one_line_of_one_process(found: list[dict[str, Any]], root: Path) -> None:
    for mistake, line in {
        'mistake': f"error: {root}/mistaken.yml:{_line(root / 'mistaken.yml', 'manual_seed')}: manual_seed: 'seven'",
        'one without a file': f'error: {root}/gone.yml: the option file cannot be read',
        'one without a GPU': 'error: num_gpu: 0: some machines have GPUs and some have none',
    }.items():
        (status, said), (other_status, other_said) = (one[mistake] for one in found)
        assert (status, other_status) == (2, 2), mistake
        assert said.startswith(line)
        assert said.count('\n') == 1
        assert other_said == ''


def test_a_picture_that_one_cannot_score_ends_all(found: list[dict[str, Any]]) -> None:
    (first, told), (second, told_elsewhere) = found[0]['told'], found[1]['told']
    assert (first, second) == ('here', 'elsewhere')
    assert told == 'picture 1 cannot be scored'
    assert told_elsewhere == told


def test_a_picture_that_one_cannot_read_is_left_out_by_all(found: list[dict[str, Any]]) -> None:
    assert found[0]['means without one'] == found[1]['means without one'] != found[0]['means of three']
    assert all(one['best without one'] == one['best'] for one in found)


def test_a_step_that_is_not_finite_in_one_is_skipped_by_all(found: list[dict[str, Any]]) -> None:
    first, second, third = zip(*(one['spoilt']['steps'] for one in found), strict=True)
    for one, other in (first, second, third):
        torch.testing.assert_close(one['weights'], other['weights'], rtol=0, atol=0)
        assert (one['skipped'], one['replaced']) == (other['skipped'], other['replaced'])
    torch.testing.assert_close(second[0]['weights'], first[0]['weights'], rtol=0, atol=0)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(third[0]['weights'], first[0]['weights'], rtol=0, atol=0)
    assert [step[0]['skipped'] for step in (first, second, third)] == [None, 1, 1]
    assert [step[0]['replaced'] for step in (first, second, third)] == [None, 2, 2]


def test_each_process_has_random_numbers_of_its_own_and_resumes_them(
    found: list[dict[str, Any]], validated: Options
) -> None:
    for kind in ('draw', 'draw of another number'):
        assert not torch.equal(found[0][kind], found[1][kind])
    for one in found:
        assert torch.equal(one['draw'], one['draw resumed'])
        assert not torch.equal(one['draw'], one['draw of another number'])
    saved = Path(validated['path']['models'], 'net_g_1.pth')
    ours, weights = (torch.load(path, weights_only=True) for path in (saved, validated['path']['weights']))
    assert ours['params'].keys() == weights['params'].keys()
    assert all(torch.equal(tensor, weights['params'][name]) for name, tensor in ours['params'].items())
    states = Path(validated['path']['training_states'])
    assert [path.name for path in states.glob('*.state')] == ['1.state']
