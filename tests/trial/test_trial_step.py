"""Steps of each model, tried."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from b2b_basicsr.errors import UserError
from b2b_basicsr.models.blur2blur_model import Blur2BlurModel
from b2b_basicsr.trial.trial_checkpoint import TriedCheckpoint
from b2b_basicsr.trial.trial_report import trial_tables, warnings_of
from b2b_basicsr.trial.trial_run import Trial, run_trial
from b2b_basicsr.trial.trial_step import Stage, networks_without_gradients, stages_of
from tests.checks.conftest import _own_argv_and_folder, data, options, write  # noqa: F401  fixtures

Options = dict[str, Any]
Write = Callable[[Options], Path]


@pytest.fixture
def deblur_options(options: Options, data: Path) -> Options:  # noqa: F811
    """Of a DeblurModel whose patches grow."""
    options['model_type'] = 'DeblurModel'
    options['network_g'] = {'type': 'NAFNet', 'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]}
    options['datasets']['train'] = {
        **{'name': 'pairs', 'type': 'PairedFolderDataset', 'io_backend': {'type': 'disk'}, 'gt_size': 32},
        **{'dataroot_lq': str(data / 'test_lq'), 'dataroot_gt': str(data / 'test_gt'), 'batch_size_per_gpu': 2},
        **{'use_hflip': True, 'use_rot': False, 'num_worker_per_gpu': 0},
    }
    options['train'] = {
        **{key: options['train'][key] for key in ('optim_g', 'scheduler', 'total_iter')},
        'pixel_opt': {'type': 'PSNRLoss'},
        'progressive_patches': [
            {'iterations': 2, 'gt_size': 16, 'batch_size_per_gpu': 2},
            {'iterations': 3, 'gt_size': 32, 'batch_size_per_gpu': 1},
        ],
    }
    for section in ('network_d', 'network_deblur'):
        del options[section]
    options['path'] = {'pretrain_network_g': str(data / 'deblur.pth'), 'resume_state': None}
    return options


def test_stages_that_are_left() -> None:
    patches = [{'iterations': n, 'gt_size': 8 * n, 'batch_size_per_gpu': 9 - n} for n in (3, 4, 5)]
    growing = {'total_iter': 12, 'progressive_patches': patches}
    assert [(stage.iterations, stage.first) for stage in stages_of(growing, 0)] == [(3, 1), (4, 4), (5, 8)]
    assert [(stage.iterations, stage.first) for stage in stages_of(growing, 5)] == [(2, 6), (5, 8)]
    assert stages_of({'total_iter': 9}, 4) == [Stage('', 5, 5)]


def test_deblurrer_with_growing_patches(deblur_options: Options, write: Write) -> None:  # noqa: F811
    trial = run_trial(write(deblur_options), ())
    assert [tried.stage.iterations for tried in trial.stages] == [2, 3]
    assert all(len(tried.seconds) == 2 for tried in trial.stages)
    tables = {table.caption.split()[0]: table.rows for table in trial_tables(trial)}
    assert [row['stage'] for row in tables['Steps:']] == ['patches of 16, batches of 2', 'patches of 32, batches of 1']
    (network,) = tables['Networks']
    assert network['key'] == 'params'
    assert network['use'] == 'trained'
    assert tables['Time'][0]['times'] == 5


def test_kernel_network(options: Options, data: Path, write: Write) -> None:  # noqa: F811
    options['model_type'] = 'KernelWizardModel'
    options['network_g'] = {'type': 'KernelWizard', 'nf': 8, 'front_RBs': 1, 'back_RBs': 1, 'kernel_dim': 8}
    pairs = {'dataroot_lq': str(data / 'test_lq'), 'dataroot_gt': str(data / 'test_gt'), 'use_hflip': True}
    options['datasets']['train'] = {
        **{'name': 'pairs', 'type': 'PairedImageDataset', 'io_backend': {'type': 'disk'}, 'gt_size': 32, **pairs},
        **{'use_rot': False, 'num_worker_per_gpu': 0, 'batch_size_per_gpu': 2},
    }
    kept = ('optim_g', 'scheduler', 'total_iter')
    options['train'] = {key: options['train'][key] for key in kept} | {'pixel_opt': {'type': 'CharbonnierLoss'}}
    for section in ('network_d', 'network_deblur'):
        del options[section]
    options['path'] = {'pretrain_network_g': None, 'resume_state': None}
    trial = run_trial(write(options), ())
    assert set(trial.stages[0].losses) == {'l_pix'}
    assert trial.validations[0].scores.keys() >= {'psnr', 'psnr_no_blur', 'gain'}
    assert not trial.without_gradients


def test_g_waits_for_d(options: Options, write: Write) -> None:  # noqa: F811
    options['train'] |= {'net_d_iters': 2, 'net_d_init_iters': 1}
    (tried,) = run_trial(write(options), ()).stages
    assert tried.stage.first == 2
    assert len(tried.seconds) == 2
    assert 'l_g_gan' in tried.losses


def test_losses_that_are_not_finite(options: Options, data: Path, tmp_path: Path, write: Write) -> None:  # noqa: F811
    weights = torch.load(data / 'deblur.pth', weights_only=True)['params']
    next(iter(weights.values())).fill_(float('nan'))
    torch.save({'params': weights}, tmp_path / 'poisoned.pth')
    options['network_g'] = options['network_deblur']
    options['path']['pretrain_network_g'] = str(tmp_path / 'poisoned.pth')
    with pytest.raises(UserError, match=r'^l_d_fake is nan, .* in a trial step at iteration 1'):
        run_trial(write(options), ())


def test_gradients_that_are_not_finite(options: Options, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    step = Blur2BlurModel._g_loss

    def steep(self: Any, *arguments: Any) -> torch.Tensor:
        weight = next(self.net_g.parameters())
        return step(self, *arguments) + (weight - weight.detach()).abs().sqrt().sum()

    monkeypatch.setattr(Blur2BlurModel, '_g_loss', steep)
    with pytest.raises(UserError, match=r'^a gradient is not finite in a trial step at iteration 1'):
        run_trial(write(options), ())


def test_networks_that_learn_nothing_are_named(options: Options, write: Write) -> None:  # noqa: F811
    options['train']['gan_opt']['loss_weight'] = 0
    options['train']['gp_opt'] = None
    trial = run_trial(write(options), ())
    # BasicSR weighs the loss of G alone; D learns.
    assert trial.without_gradients == []
    trial.model.net_g.zero_grad(set_to_none=False)
    assert networks_without_gradients(trial.model) == ['network_g']
    trial.model.net_d.zero_grad(set_to_none=True)
    assert networks_without_gradients(trial.model) == ['network_g', 'network_d']


def test_resumed_training_is_tried_from_where_it_stands(options: Options, tmp_path: Path, write: Write) -> None:  # noqa: F811
    fresh = run_trial(write(options), ())
    experiment = tmp_path / 'experiments' / 'tiny'
    for folder in ('models', 'training_states'):
        (experiment / folder).mkdir(parents=True)
        fresh.model.opt['path'][folder] = str(experiment / folder)
    fresh.model.save(0, 3)
    options['path']['resume_state'] = str(experiment / 'training_states' / '3.state')
    before = sorted(tmp_path.rglob('*'))
    trial = run_trial(write(options), ())
    assert sorted(tmp_path.rglob('*')) == before
    assert (trial.done, trial.stages[0].stage) == (3, Stage('', 2, 4))
    tables = {table.caption.split()[0]: table for table in trial_tables(trial)}
    assert tables['Networks'].rows[0]['weights'] == str(experiment / 'models' / 'net_g_3.pth')
    assert tables['Time'].caption.startswith('Time to total_iter 5 from iteration 3 on')


def test_room_on_the_disk_and_times_that_are_never_reached(options: Options, write: Write) -> None:  # noqa: F811
    options['logger']['save_checkpoint_freq'] = 1
    trial: Trial = run_trial(write(options), ())
    assert warnings_of(trial) == []
    trial.free = trial.checkpoint.all_bytes - 1  # type: ignore[union-attr]
    (line,) = warnings_of(trial)
    assert 'GiB will be written to' in line
    assert line.startswith('disk: about ')
    assert trial_tables(trial)[-1].rows == [{'warning': line}]
    trial.free = 10**18
    trial.opt['logger']['save_checkpoint_freq'] = trial.opt['val']['val_freq'] = 6
    assert [line.split(':')[1] for line in warnings_of(trial)] == ['save_checkpoint_freq', 'val_freq']


def test_only_the_last_checkpoints_are_kept(options: Options, write: Write) -> None:  # noqa: F811
    options['logger'] |= {'save_checkpoint_freq': 1, 'keep_checkpoints': 2}
    found = run_trial(write(options), ()).checkpoint
    assert isinstance(found, TriedCheckpoint)
    assert (found.times, found.kept) == (5, 2)
    whole = 2 * (found.network_bytes + found.state_bytes) + found.network_bytes + found.best_bytes
    assert found.all_bytes == whole > 0
