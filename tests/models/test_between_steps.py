"""Between two steps: random numbers of each step's own, the place in the epoch, and the end on request."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from basicsr.models import build_model

from b2b_basicsr.stop_request import STOP

Options = dict[str, Any]
Batch = Callable[[int], dict[str, torch.Tensor]]


@pytest.fixture
def listening() -> Iterator[None]:
    # A shell's background jobs ignore Ctrl-C, and what they start ignores it, too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    STOP.listen()
    yield
    STOP.forget()
    signal.signal(signal.SIGINT, before)


def placed(batch: dict[str, torch.Tensor], epoch: int, first: int) -> dict[str, torch.Tensor]:
    count = len(batch['lq'])
    return {**batch, 'epoch': torch.full((count,), epoch), 'position': torch.arange(first, first + count)}


def steps(model: Any, batch: Batch, numbers: range) -> None:
    for number in numbers:
        model.update_learning_rate(number)
        model.feed_data(placed(batch(number), epoch=number // 3, first=number % 3 * 2))
        model.optimize_parameters(number)


def state_of(options: Options, iteration: int) -> dict[str, Any]:
    path = Path(options['path']['training_states'], f'{iteration}.state')
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state


def test_dropout_is_the_iterations_own(options: Options, batch: Batch) -> None:
    """Whatever drew from torch's generator in between."""
    options['network_g'] = {'type': 'MIMOUNetPlus', 'num_res': 1, 'base_channel': 8, 'drop': 0.5}
    weights: list[torch.Tensor] = []
    for noise in (False, True, True):
        torch.manual_seed(0)
        model = build_model({**options, 'manual_seed': 1 + len(weights) // 2})
        torch.manual_seed(5)
        for number in (1, 2):
            if noise:
                torch.rand(7)
            steps(model, batch, range(number, number + 1))
        weights.append(torch.cat([parameter.detach().flatten() for parameter in model.net_g.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2]), 'another manual_seed drops other channels'


def test_the_place_is_in_the_state(options: Options, batch: Batch) -> None:
    model = build_model(options)
    steps(model, batch, range(1, 3))
    model.save(0, 2)
    assert state_of(options, 2)['place'] == {'epoch': 0, 'seen': 6}
    resumed = build_model(options)
    resumed.resume_training(state_of(options, 2))
    resumed.save_training_state(0, 3)
    assert state_of(options, 3)['place'] == {'epoch': 0, 'seen': 6}, 'no batch came in between'
    steps(resumed, batch, range(4, 5))
    resumed.save_training_state(1, 4)
    assert state_of(options, 4)['place'] == {'epoch': 1, 'seen': 4}


def test_a_state_of_samples_without_places_has_none(options: Options, batch: Batch) -> None:
    model = build_model(options)
    model.update_learning_rate(1)
    model.feed_data(batch(1))
    model.optimize_parameters(1)
    model.save(0, 1)
    assert 'place' not in state_of(options, 1)


@pytest.mark.usefixtures('listening')
@pytest.mark.parametrize(
    ('saved_before', 'argv', 'orig_argv', 'go_on'),
    [
        (False, ['b2b train', '-opt', 'f.yml'], ['python', 'b2b', 'train', '-opt', 'f.yml'], 'b2b train -opt f.yml'),
        (
            True,
            ['/site-packages/basicsr/train.py', '-opt', 'my f.yml'],
            ['/bin/python3', '-u', '-m', 'basicsr.train', '-opt', 'my f.yml'],
            "python -u -m basicsr.train -opt 'my f.yml'",
        ),
        (
            False,
            ['basicsr/train.py', '-opt', 'f.yml'],
            ['python', 'basicsr/train.py', '-opt', 'f.yml'],
            'python basicsr/train.py -opt f.yml',
        ),
    ],
)
def test_asked_to_stop_it_saves_and_says_how_to_go_on(
    options: Options,
    batch: Batch,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    saved_before: bool,
    argv: list[str],
    orig_argv: list[str],
    go_on: str,
) -> None:
    monkeypatch.setattr(sys, 'argv', argv)
    monkeypatch.setattr(sys, 'orig_argv', orig_argv)
    monkeypatch.setattr(logging.getLogger('basicsr'), 'propagate', True)
    caplog.set_level(logging.INFO)
    model = build_model(options)
    steps(model, batch, range(1, 5))
    if saved_before:
        model.save(1, 4)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        model.update_learning_rate(5)
    assert end.value.code == 128 + signal.SIGTERM
    state = state_of(options, 4)
    assert (state['epoch'], state['iter'], state['place']) == (1, 4, {'epoch': 1, 'seen': 4})
    assert Path(options['path']['models'], 'net_g_4.pth').is_file()
    assert Path(options['path']['models'], 'net_d_4.pth').is_file()
    last = caplog.records[-1].getMessage()
    assert last.startswith('Stopped by SIGTERM behind iteration 4, saved as ')
    assert last.endswith(f'To go on: {go_on} --auto_resume')


@pytest.mark.usefixtures('listening')
def test_asked_before_the_first_step_there_is_nothing_to_save(options: Options) -> None:
    model = build_model(options)
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(SystemExit) as end:
        model.update_learning_rate(1)
    assert end.value.code == 128 + signal.SIGINT
    assert not list(Path(options['path']['training_states']).iterdir())


@pytest.mark.filterwarnings('error')
def test_the_first_step_of_a_resumed_training_warns_of_nothing(options: Options, batch: Batch) -> None:
    model = build_model(options)
    steps(model, batch, range(3, 5))


def test_not_asked_it_goes_on(options: Options, batch: Batch) -> None:
    model = build_model(options)
    steps(model, batch, range(1, 3))
    assert not list(Path(options['path']['training_states']).iterdir())


def test_a_state_of_basicsr_goes_on(options: Options, batch: Batch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    model = build_model(options)
    steps(model, batch, range(1, 3))
    model.save(0, 2)
    theirs = {key: state_of(options, 2)[key] for key in ('epoch', 'iter', 'optimizers', 'schedulers')}
    resumed = build_model(options)
    resumed.resume_training(theirs)
    steps(resumed, batch, range(3, 5))
    assert 'The state has none: the random numbers of the model start anew' in caplog.text


def test_another_seed_than_the_states_is_told(options: Options, batch: Batch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    model = build_model(options)
    steps(model, batch, range(1, 3))
    model.save(0, 2)
    build_model(options).resume_training(state_of(options, 2))
    assert 'manual_seed' not in caplog.text
    build_model({**options, 'manual_seed': 7}).resume_training(state_of(options, 2))
    assert 'The state is of manual_seed 0, and goes on with 7' in caplog.text
