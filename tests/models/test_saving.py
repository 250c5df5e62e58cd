"""What a training saves is there whole or not at all, whatever the disk says; what is old goes as the options say."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from basicsr.models import build_model

from b2b_basicsr.compat.resume_state import newest_whole_state, read_state
from b2b_basicsr.errors import UserError

Options = dict[str, Any]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a disk with so many bytes left: writing more fails, with EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names(folder: str) -> set[str]:
    return {path.name for path in Path(folder).iterdir()}


@pytest.mark.parametrize('size', [0, 20_000, 200_000])
def test_a_full_disk_is_one_line_and_the_last_state_stays_whole(options: Options, size: int) -> None:
    """At the first byte of the first file, and within it."""
    model = build_model(options)
    model.save(0, 1)
    folders = options['path']['models'], options['path']['training_states']
    before = [names(folder) for folder in folders]
    with files_of_at_most(size), pytest.raises(UserError) as caught:
        model.save(0, 2)
    said = str(caught.value)
    assert said.startswith(f'{Path(folders[0], "net_g_2.pth")}: cannot be written: a file there may not be so large')
    assert f'the last whole state is {Path(folders[1], "1.state")}: make room' in said
    assert '--auto_resume' in said
    assert '\n' not in said
    assert [names(folder) for folder in folders] == before
    found = newest_whole_state(options)
    assert found is not None
    assert found[1]['iter'] == 1


def test_a_disk_that_fills_up_between_the_files(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks of an iteration without a state are not taken for one."""
    model = build_model(options)
    model.save(0, 1)
    synced = []

    def full(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 5:  # each file once, and each time its folder: the state is the fifth
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(UserError, match=r'2\.state: cannot be written: your quota is used up .* free at .*1\.state'):
        model.save(0, 2)
    assert names(options['path']['training_states']) == {'1.state'}
    assert {'net_g_2.pth', 'net_d_2.pth'} <= names(options['path']['models'])
    found = newest_whole_state(options)
    assert found is not None
    assert found[1]['iter'] == 1


def test_nothing_was_saved_before(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(descriptor: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    model = build_model(options)
    monkeypatch.setattr(os, 'fsync', read_only)
    with pytest.raises(UserError, match=r'can only be read .* no whole state was saved before: .* start again'):
        model.save(0, 1)


def test_a_folder_that_is_gone_is_not_made_anew(options: Options, tmp_path: Path) -> None:
    """Its disk may no longer be mounted."""
    model = build_model(options)
    gone = Path(options['path']['training_states'])
    gone.rename(tmp_path / 'elsewhere')
    with pytest.raises(UserError, match=r'1\.state: cannot be written: its folder is gone'):
        model.save(0, 1)
    assert not gone.exists()
    Path(options['path']['visualization']).rmdir()
    with pytest.raises(UserError, match=r'0\.png: cannot be written: its folder is gone'):
        model._save_picture(np.zeros((2, 2, 3), np.uint8), Path(options['path']['visualization'], 'set', '0.png'))


def test_a_picture_on_a_full_disk_is_not_taken_for_saved(options: Options) -> None:
    """OpenCV says that it has written one that is small, and leaves nothing."""
    model = build_model(options)
    file = Path(options['path']['visualization'], 'set', '0.png')
    with files_of_at_most(0), pytest.raises(UserError, match=r'0\.png: cannot be written'):
        model._save_picture(np.zeros((2, 2, 3), np.uint8), file)
    assert not list(file.parent.iterdir())


def test_a_test_says_to_test_again(options: Options) -> None:
    model = build_model(options)
    model.opt = {**options, 'is_train': False}
    with pytest.raises(UserError, match=r'make room, and test again$'), model._writing(Path('scores.csv')):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_state_of_another_model_is_one_line(options: Options) -> None:
    model = build_model(options)
    model.save(0, 1)
    state = read_state(str(Path(options['path']['training_states'], '1.state')))
    changes: list[dict[str, Any]] = [
        {'optimizers': state['optimizers'][:1]},
        {'optimizers': [{'state': {}, 'param_groups': []}] * 2},
        {'schedulers': []},
    ]
    for changed in changes:
        with pytest.raises(UserError, match='is the state of another model'):
            model.resume_training({**state, **changed})


# ---------------------------------------------------------------------------------------------- keep_checkpoints


def saved(options: Options) -> tuple[set[str], set[str]]:
    return names(options['path']['training_states']), names(options['path']['models'])


def of_iterations(*iterations: int) -> tuple[set[str], set[str]]:
    networks = {f'net_{network}_{iteration}.pth' for network in 'gd' for iteration in iterations}
    return {f'{iteration}.state' for iteration in iterations}, networks


@pytest.fixture
def keeping(options: Options) -> Options:
    options['logger'] = {'keep_checkpoints': 2}
    return options


def test_all_are_kept_unless_asked(options: Options) -> None:
    model = build_model(options)
    for iteration in (1, 2, 3):
        model.save(0, iteration)
    assert saved(options) == of_iterations(1, 2, 3)


def test_only_the_newest_checkpoints_of_this_training_are_kept(keeping: Options) -> None:
    states, models = Path(keeping['path']['training_states']), Path(keeping['path']['models'])
    others = ['net_g_best.pth', 'net_g_latest.pth', 'net_g_1.pth', 'net_k_2.pth', 'net_g_2.pth.bak', 'notes.txt']
    for name in others:
        (models / name).write_text('of somebody else')
    for name in ('1.state', 'latest.state'):
        (states / name).write_text('of somebody else')
    model = build_model(keeping)
    for iteration in (2, 4, 10, 12):
        model.save(0, iteration)
    model.save(-1, -1)
    wanted_states, wanted_models = of_iterations(10, 12)
    assert names(str(states)) == wanted_states | {'1.state', 'latest.state'}
    assert names(str(models)) == wanted_models | {*others, 'net_d_latest.pth'}


def resumed(options: Options, iteration: int, auto: bool) -> Any:
    """A model that goes on from a state, as BasicSR's script does it."""
    path = str(Path(options['path']['training_states'], f'{iteration}.state'))
    options = {**options, 'auto_resume': auto, 'path': {**options['path'], 'resume_state': path}}
    for network in 'gd':
        file = Path(options['path']['models'], f'net_{network}_{iteration}.pth')
        options['path'][f'pretrain_network_{network}'] = str(file)
    options['train'] = {**options['train'], 'scheduler': {'type': 'LinearDecayLR', 'start': 2}}
    model = build_model(options)
    model.resume_training(read_state(path))
    return model


@pytest.mark.parametrize('auto', [False, True])
def test_what_the_user_resumes_from_is_kept(keeping: Options, auto: bool) -> None:
    model = build_model(keeping)
    for iteration in (1, 2):
        model.save(0, iteration)
    model = resumed(keeping, 2, auto)
    for iteration in (3, 4, 5):
        model.save(0, iteration)
    assert saved(keeping) == (of_iterations(4, 5) if auto else of_iterations(2, 4, 5))


def test_what_a_killed_training_was_about_to_remove_goes(keeping: Options) -> None:
    model = build_model(keeping)
    for iteration in (1, 2):
        model.save(0, iteration)
    states = Path(keeping['path']['training_states'])
    kept = (states / '1.state').read_bytes(), Path(keeping['path']['models'], 'net_d_1.pth').read_bytes()
    model.save(0, 3)
    Path(keeping['path']['models'], 'net_d_1.pth').write_bytes(kept[1])  # killed between the two
    resumed(keeping, 3, auto=True).save(0, 4)
    assert saved(keeping) == of_iterations(3, 4)


def test_the_iterations_of_another_training_are_not_its_own(keeping: Options, tmp_path: Path) -> None:
    model = build_model(keeping)
    for iteration in (1, 2):
        model.save(0, iteration)
    theirs = saved(keeping)
    mine = {**keeping, 'path': {**keeping['path'], 'training_states': str(tmp_path / 'mine')}}
    (tmp_path / 'mine').mkdir()
    model = build_model(mine)
    model.opt['path']['resume_state'] = str(Path(keeping['path']['training_states'], '2.state'))
    model.resume_training(read_state(model.opt['path']['resume_state']))
    assert not model.saved_iterations
    assert saved(keeping) == theirs


def test_what_cannot_be_removed_is_a_warning(
    keeping: Options, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(path: Path, missing_ok: bool = False) -> None:
        if not path.name.startswith('.'):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    model = build_model(keeping)
    for iteration in (1, 2):
        model.save(0, iteration)
    monkeypatch.setattr(Path, 'unlink', refused)
    with caplog.at_level('WARNING', logger='basicsr'):
        model.save(0, 3)
    (line,) = [record.message for record in caplog.records if 'keep_checkpoints' in record.message]
    assert '1.state cannot be removed (Operation not permitted)' in line
    monkeypatch.undo()
    model.save(0, 4)
    assert saved(keeping) == of_iterations(3, 4)


def test_states_load_safely(keeping: Options) -> None:
    model = build_model(keeping)
    model.save(0, 1)
    content = torch.load(Path(keeping['path']['training_states'], '1.state'), weights_only=True)
    assert content['saved_iterations'] == [1]
