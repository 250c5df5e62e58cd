from __future__ import annotations

import pickle
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import basicsr.train
import pytest
import torch
from basicsr.models.lr_scheduler import CosineAnnealingRestartLR, MultiStepRestartLR

from b2b_basicsr.compat import resume_state
from b2b_basicsr.compat.resume_state import latest_state, read_state
from b2b_basicsr.errors import UserError

Scheduler = Callable[[torch.optim.Optimizer], Any]


def state_of(scheduler: Scheduler) -> dict[str, Any]:
    """Return what BasicSR saves of a training: Adam after a step, and a scheduler."""
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([parameter], lr=0.1, betas=(0.9, 0.99))
    made = scheduler(optimizer)
    parameter.sum().backward()
    optimizer.step()
    made.step()
    return {'epoch': 2, 'iter': 7, 'optimizers': [optimizer.state_dict()], 'schedulers': [made.state_dict()]}


@pytest.mark.parametrize(
    'scheduler',
    [
        lambda optimizer: MultiStepRestartLR(
            optimizer, milestones=[3, 5, 5], gamma=0.5, restarts=[0], restart_weights=[1]
        ),
        lambda optimizer: CosineAnnealingRestartLR(optimizer, periods=[4, 4], restart_weights=[1, 0.5], eta_min=1e-7),
    ],
)
def test_basicsr_states_are_read(tmp_path: Path, scheduler: Scheduler) -> None:
    state = state_of(scheduler)
    path = tmp_path / '7.state'
    torch.save(state, path)
    read = read_state(str(path))
    assert read['schedulers'] == state['schedulers']
    assert (read['epoch'], read['iter']) == (2, 7)
    moments = read['optimizers'][0]['state'][0]['exp_avg']
    assert moments.device.type == 'cpu'
    assert torch.equal(moments, state['optimizers'][0]['state'][0]['exp_avg'])


class TouchesAFile:
    """What a hostile state would do when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_a_state_that_runs_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / '7.state'
    torch.save({'epoch': 0, 'iter': 7, 'optimizers': [TouchesAFile(tmp_path / 'touched')], 'schedulers': []}, path)
    with pytest.raises(UserError, match=r'7\.state: '):
        read_state(str(path))
    assert not (tmp_path / 'touched').exists()


def test_a_class_that_is_not_allowed_is_named(tmp_path: Path) -> None:
    path = tmp_path / '7.state'
    torch.save({'epoch': 0, 'iter': 7, 'optimizers': [], 'schedulers': [Fraction(1, 2)]}, path)
    with pytest.raises(UserError, match=r'7\.state: holds an object of fractions\.Fraction.*add_safe_globals'):
        read_state(str(path))


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'no pickle at all',
        pickle.dumps({'epoch': 1}, protocol=2),
        None,  # a network's weights, not a state
    ],
)
def test_what_is_no_state_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / '7.state'
    if content is None:
        torch.save({'params': {'weight': torch.zeros(2)}}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match='not a training state of BasicSR') as raised:
        read_state(str(path))
    assert len(str(raised.value).splitlines()) == 1
    assert str(path) in str(raised.value)


def test_a_missing_state_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'No such file.*path: resume_state'):
        read_state(str(tmp_path / 'gone.state'))


def test_the_latest_state_is_the_one_of_the_highest_iteration(tmp_path: Path) -> None:
    assert latest_state(str(tmp_path / 'no folder')) is None
    assert latest_state(str(tmp_path)) is None
    for name in ('5.state', '1000.state', '200.state', 'best.state', '3000.pth', '.state'):
        (tmp_path / name).touch()
    (tmp_path / '9000.state').mkdir()
    assert latest_state(str(tmp_path)) == str(tmp_path / '1000.state')


@pytest.fixture
def load_resume_state() -> Callable[..., Any]:
    """The mended function, made from BasicSR's own."""
    original = basicsr.train.load_resume_state
    return resume_state._instead_of(getattr(original, '__wrapped__', original))


def options(tmp_path: Path, **path: Any) -> dict[str, Any]:
    return {
        'name': 'x',
        'auto_resume': False,
        'network_g': {},
        'path': {'training_states': str(tmp_path), 'models': str(tmp_path / 'models'), **path},
    }


def test_nothing_to_resume(load_resume_state: Callable[..., Any], tmp_path: Path) -> None:
    assert load_resume_state(options(tmp_path)) is None
    assert load_resume_state({**options(tmp_path), 'auto_resume': True}) is None


def test_auto_resume_takes_the_latest_state(load_resume_state: Callable[..., Any], tmp_path: Path) -> None:
    for iteration in (8, 16):
        state: dict[str, Any] = {'epoch': 1, 'iter': iteration, 'optimizers': [], 'schedulers': []}
        torch.save(state, tmp_path / f'{iteration}.state')
    opt = {**options(tmp_path, param_key_g='params_ema'), 'auto_resume': True}
    assert load_resume_state(opt)['iter'] == 16
    assert opt['path']['resume_state'] == str(tmp_path / '16.state')
    assert opt['path']['pretrain_network_g'] == str(tmp_path / 'models' / 'net_g_16.pth')
    assert opt['path']['param_key_g'] == 'params'


def test_a_state_that_cannot_be_loaded_ends_the_program(
    load_resume_state: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        load_resume_state(options(tmp_path, resume_state=str(tmp_path / 'gone.state')))
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith(f'error: {tmp_path / "gone.state"}: cannot be read')


def test_a_function_that_was_put_right_already_stays() -> None:
    def load_resume_state(opt: dict[str, Any]) -> Any:
        return torch.load(opt['path']['resume_state'], map_location='cpu')

    assert resume_state._instead_of(load_resume_state) is load_resume_state
