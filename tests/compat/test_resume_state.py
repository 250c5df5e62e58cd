from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import basicsr.train
import pytest
import torch
from basicsr.models.lr_scheduler import CosineAnnealingRestartLR, MultiStepRestartLR

from b2b_basicsr.compat import resume_state
from b2b_basicsr.compat.resume_state import newest_whole_state, read_state
from b2b_basicsr.errors import UserError
from b2b_basicsr.options.drawn_seed import DrawnSeed

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


def save(folder: Path, iteration: int, networks: tuple[str, ...] = ('g',)) -> Path:
    """A whole state and its networks."""
    state: dict[str, Any] = {'epoch': 1, 'iter': iteration, 'optimizers': [], 'schedulers': []}
    path = folder / f'{iteration}.state'
    torch.save(state, path)
    (folder / 'models').mkdir(exist_ok=True)
    for network in networks:
        weights = {'weight': torch.arange(1000.0)}
        torch.save({'params': weights}, folder / 'models' / f'net_{network}_{iteration}.pth')
    return path


def test_auto_resume_takes_the_latest_state(
    load_resume_state: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for iteration in (8, 16):
        save(tmp_path, iteration)
    for name in ('latest.state', 'backup.state', '5e3.state', '0032.state', '64.pth'):
        (tmp_path / name).write_bytes(b'')
    (tmp_path / '9000.state').mkdir()
    opt = {**options(tmp_path, param_key_g='params_ema'), 'auto_resume': True}
    assert load_resume_state(opt)['iter'] == 16
    assert opt['path']['resume_state'] == str(tmp_path / '16.state')
    assert opt['path']['pretrain_network_g'] == str(tmp_path / 'models' / 'net_g_16.pth')
    assert opt['path']['param_key_g'] == 'params'
    (line,) = [line for line in capsys.readouterr().out.splitlines() if 'not named by an iteration' in line]
    assert '0032.state, 5e3.state, backup.state, latest.state' in line


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    """One bit of the largest part."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + len(content) // 2 - largest.header_offset // 2] ^= 1
    path.write_bytes(bytes(content))


def lose(path: Path) -> None:
    path.unlink()


def poison(path: Path) -> None:
    torch.save({'params': {'weight': TouchesAFile(path.with_name('touched'))}}, path)


def empty(path: Path) -> None:
    path.write_bytes(b'')


def other_iteration(path: Path) -> None:
    torch.save({'epoch': 1, 'iter': 3, 'optimizers': [], 'schedulers': []}, path)


def other_keys(path: Path) -> None:
    torch.save({'epoch': 1, 'iter': 16}, path)


@pytest.mark.parametrize(
    ('broken', 'how', 'said'),
    [
        *(('16.state', how, 'is not a training state') for how in (cut, empty, other_keys)),
        ('16.state', other_iteration, 'is the state of iteration 3 under another name'),
        ('16.state', poison, 'holds an object of'),
        *(('models/net_d_16.pth', how, 'has a network_d that is none, or damaged') for how in (cut, empty, flip)),
        ('models/net_g_16.pth', lose, 'has no network_g beside it'),
        ('models/net_g_16.pth', poison, 'has a network_g that is none, or damaged'),
    ],
)
def test_what_is_not_whole_is_named_and_passed_over(
    load_resume_state: Callable[..., Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    broken: str,
    how: Callable[[Path], None],
    said: str,
) -> None:
    for iteration in (8, 16):
        save(tmp_path, iteration, ('g', 'd'))
    how(tmp_path / broken)
    opt = {**options(tmp_path), 'network_d': {}, 'auto_resume': True, 'model_type': 'Blur2BlurModel'}
    opt['network_deblur'] = {}  # frozen: never saved
    assert load_resume_state(opt)['iter'] == 8
    assert opt['path']['resume_state'] == str(tmp_path / '8.state')
    (line,) = [line for line in capsys.readouterr().out.splitlines() if 'passed over' in line]
    assert line.startswith(f'{tmp_path / "16.state"}: passed over, since it {said}')
    assert not list(tmp_path.rglob('touched'))


def test_networks_taken_from_elsewhere_need_not_be_there(load_resume_state: Callable[..., Any], tmp_path: Path) -> None:
    save(tmp_path, 8)
    opt = {**options(tmp_path), 'network_d': {}, 'auto_resume': True, 'model_type': 'Blur2BlurModel'}
    opt['path'] |= {'ignore_resume_networks': 'network_d', 'pretrain_network_d': 'elsewhere.pth'}
    assert load_resume_state(opt)['iter'] == 8


def test_without_any_whole_state_nothing_begins_anew(
    load_resume_state: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for iteration in (8, 16):
        empty(save(tmp_path, iteration))
    with pytest.raises(SystemExit) as end:
        load_resume_state({**options(tmp_path), 'auto_resume': True})
    assert end.value.code == 2
    said = capsys.readouterr()
    assert said.out.count('passed over') == 2
    assert said.err.startswith(f'error: {tmp_path}: holds 2 states, and none from which')
    assert len(said.err.splitlines()) == 1


def test_leftovers_of_a_killed_training_go(load_resume_state: Callable[..., Any], tmp_path: Path) -> None:
    save(tmp_path, 8)
    left = [tmp_path / '.b2b_unfinished-0.state', tmp_path / 'models' / '.b2b_unfinished-1.pth']
    for path in left:
        path.write_bytes(b'half')
    load_resume_state({**options(tmp_path), 'auto_resume': True})
    assert not any(path.exists() for path in left)


def test_a_state_that_is_named_is_not_passed_over(
    load_resume_state: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path, 8)
    cut(save(tmp_path, 16))
    with pytest.raises(SystemExit) as end:
        load_resume_state(options(tmp_path, resume_state=str(tmp_path / '16.state')))
    assert end.value.code == 2
    assert 'not a training state of BasicSR, or a damaged one' in capsys.readouterr().err


def test_the_newest_whole_state_says_nothing_unless_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path, 8)
    cut(save(tmp_path, 16))
    found = newest_whole_state(options(tmp_path))
    assert found is not None
    assert found[0] == tmp_path / '8.state'
    assert not any(capsys.readouterr())


def test_a_packed_state_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few kilobytes that would fill the memory."""
    path = save(tmp_path, 8)
    with zipfile.ZipFile(path, 'a', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('8/data/0', bytes(10**7))
    assert path.stat().st_size < 10**5
    monkeypatch.setattr(torch, 'load', lambda *args, **kwargs: pytest.fail('it was unpacked'))
    with pytest.raises(UserError, match='not a training state of BasicSR'):
        read_state(str(path))


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


def test_states_newer_than_the_one_that_is_named_are_put_aside(
    load_resume_state: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else ``--auto_resume``, later, would go on from what was given up."""
    first, second, third = (save(tmp_path, iteration) for iteration in (8, 16, 24))
    assert load_resume_state(options(tmp_path, resume_state=str(second)))['iter'] == 16
    assert first.is_file()
    assert not third.exists()
    assert (tmp_path / '24.state.given_up').is_file()
    assert (
        '24.state: renamed to *.state.given_up, since the training goes on from iteration 16' in capsys.readouterr().out
    )
    opt = {**options(tmp_path), 'auto_resume': True}
    assert load_resume_state(opt)['iter'] == 16


def test_states_of_another_training_stay(load_resume_state: Callable[..., Any], tmp_path: Path) -> None:
    other = tmp_path / 'other'
    other.mkdir()
    named, newer, ours = save(other, 8), save(other, 16), save(tmp_path, 24)
    (tmp_path / 'models' / 'net_g_8.pth').write_bytes((other / 'models' / 'net_g_8.pth').read_bytes())
    assert load_resume_state(options(tmp_path, resume_state=str(named)))['iter'] == 8
    assert newer.is_file()
    assert ours.is_file()


@pytest.mark.parametrize(('seed', 'taken'), [(DrawnSeed(3), 77), (3, 3)])
def test_a_seed_that_was_drawn_is_the_states(
    load_resume_state: Callable[..., Any], tmp_path: Path, seed: int, taken: int
) -> None:
    path = save(tmp_path, 8)
    torch.save({**torch.load(path, weights_only=True), 'manual_seed': 77}, path)
    opt = {**options(tmp_path), 'auto_resume': True, 'manual_seed': seed}
    load_resume_state(opt)
    assert opt['manual_seed'] == taken
    assert isinstance(opt['manual_seed'], DrawnSeed) == isinstance(seed, DrawnSeed)
