"""BasicSR's own scripts with somebody else's option file, end to end: each mend of the training at its work."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from b2b_basicsr.compat import training_script

# Runs BasicSR's script as it is, without us, on a torchvision that it cannot be imported with.
WITHOUT_US = """
import runpy, sys, torchvision.transforms._functional_tensor as functional_tensor
sys.modules['torchvision.transforms.functional_tensor'] = functional_tensor
script, sys.argv = sys.argv[1], sys.argv[1:]
runpy.run_path(script, run_name='__main__')
assert 'b2b_basicsr' not in sys.modules
"""


def iterations(log: str) -> list[int]:
    """Return the iterations that a training logged, in their order."""
    return [int(number.replace(',', '')) for number in re.findall(r'iter: +([\d,]+), lr', log)]


def epochs(log: str) -> list[str]:
    """Return what a training logged of the number of its epochs."""
    return re.findall(r'Total epochs: \d+', log)


def test_checkout_as_without_us_then_resumed_on_a_cpu(
    checkout: Path, option_file: Path, run_python: Any, tmp_path: Path
) -> None:
    script = checkout / 'basicsr' / 'train.py'

    # A training that needs no mend is bit for bit the same without this package.
    arguments = ('-opt', option_file, '--force_yml', 'datasets:train:batch_size_per_gpu=1', 'train:total_iter=8')
    ours = run_python(script, *arguments, cwd=checkout, path=checkout)
    theirs = run_python(
        '-c', WITHOUT_US, script, *arguments, 'name=without_us', cwd=checkout, path=checkout, B2B_BASICSR_AUTOLOAD='0'
    )
    assert (ours.returncode, theirs.returncode) == (0, 0), ours.stderr + theirs.stderr
    assert iterations(ours.stderr) == iterations(theirs.stderr) == list(range(1, 9))
    assert epochs(ours.stderr) == epochs(theirs.stderr) == ['Total epochs: 3']
    weights, weights_without_us = (
        torch.load(checkout / 'experiments' / name / 'models' / 'net_g_latest.pth') for name in ('tiny', 'without_us')
    )
    assert weights.keys() == weights_without_us.keys() == {'params', 'params_ema'}
    for key, tensors in weights.items():
        assert all(torch.equal(tensor, weights_without_us[key][name]) for name, tensor in tensors.items())

    # Resumed from another folder, in epoch 2, with a batch size that makes one batch an epoch of the three pictures:
    # BasicSR counts two, and would end in epoch 7 after six more iterations.
    (checkout / 'experiments' / 'tiny' / 'training_states' / 'notes.state').write_text('not one of BasicSR')
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    arguments = ('-opt', option_file, '--auto_resume', '--force_yml', 'train:total_iter=16')
    resumed = run_python(script, *arguments, cwd=elsewhere, path=checkout)
    assert resumed.returncode == 0, resumed.stderr
    assert 'Resuming training from epoch: 2, iter: 8' in resumed.stderr
    assert iterations(resumed.stderr) == list(range(9, 17))
    assert epochs(resumed.stderr) == ['Total epochs: 8', 'Total epochs: 9']
    assert list(elsewhere.iterdir()) == []
    assert sorted(path.name for path in (checkout / 'experiments').iterdir()) == ['tiny', 'without_us']


def test_installed_basicsr_works_in_the_working_folder(option_file: Path, run_python: Any, tmp_path: Path) -> None:
    work = tmp_path / 'work'
    work.mkdir()
    train = ('-m', 'basicsr.train', '-opt', option_file)
    # A batch of eight from three pictures.
    forced = ('datasets:train:batch_size_per_gpu=8', 'train:total_iter=4', 'logger:use_tb_logger=true')
    done = run_python(*train, '--force_yml', *forced, cwd=work)
    assert done.returncode == 0, done.stderr
    assert f'go under {work}, not into' in done.stdout
    assert 'Dataset enlarge ratio: 3: the 3 train images do not fill one batch' in done.stderr
    assert iterations(done.stderr) == [1, 2, 3, 4]
    assert sorted(path.name for path in work.iterdir()) == ['experiments', 'tb_logger']

    done = run_python(*train, '--auto_resume', '--force_yml', 'train:total_iter=5', cwd=work)
    assert done.returncode == 0, done.stderr
    assert iterations(done.stderr) == [5]
    assert sorted(path.name for path in (work / 'experiments').iterdir()) == ['tiny']


def test_installed_basicsr_puts_results_into_the_working_folder(
    options: dict[str, Any], write_options: Callable[[dict[str, Any]], Path], run_python: Any, tmp_path: Path
) -> None:
    train = options['datasets'].pop('train')
    keys = ('name', 'type', 'dataroot_gt', 'dataroot_lq', 'io_backend')
    options['datasets']['test_1'] = {key: train[key] for key in keys}
    options['val'] = {'save_img': True, 'suffix': None}
    work = tmp_path / 'work'
    work.mkdir()
    done = run_python('-m', 'basicsr.test', '-opt', write_options(options), cwd=work)
    assert done.returncode == 0, done.stderr
    assert len(list((work / 'results' / 'tiny' / 'visualization' / 'tiny_train').glob('*.png'))) == 3
    assert [path.name for path in work.iterdir()] == ['results']


def test_a_mistake_is_one_line_before_anything_is_made(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / 'experiments' / 'b2b').mkdir(parents=True)
    path = tmp_path / 'b2b.yml'
    path.write_text('name: b2b\nmodel_type: Blur2BlurModel\npath: {}\nnum_gpu: 0\ntrain: {}\nlogger: {}\n')
    monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', str(path)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(checkout / 'basicsr' / 'train.py'), run_name='__main__')
    assert end.value.code == 2
    assert capsys.readouterr().err == f'error: {path}: datasets: must be there, a section of KEY: VALUE lines\n'
    assert [folder.name for folder in (checkout / 'experiments').iterdir()] == ['b2b']


def test_a_script_without_basicsr_functions_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's own ``train_pipeline`` that calls ``parse_options`` but has no ``load_resume_state``."""
    namespace: dict[str, Any] = {'find': training_script._training_script_namespace}
    exec('def train_pipeline():\n    return find()\n', namespace)
    assert namespace['train_pipeline']() is None
    exec('def load_resume_state(opt): pass\ndef create_train_val_dataloader(opt, logger): pass\n', namespace)
    assert namespace['train_pipeline']() is namespace


def test_functions_are_wrapped_once_in_a_script(monkeypatch: pytest.MonkeyPatch) -> None:
    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda opt: ['around', *function(opt)]

    def untouched(function: Callable[..., Any]) -> Callable[..., Any]:
        return function

    monkeypatch.setattr(training_script, '_wrappers', [('load_resume_state', untouched), ('load_resume_state', around)])
    namespace: dict[str, Any] = {}
    exec('def load_resume_state(opt):\n    "Loads."\n    return [opt]\n', namespace)
    training_script._wrap_in(namespace)
    training_script._wrap_in(namespace)
    assert namespace['load_resume_state'](1) == ['around', 1]
    assert namespace['load_resume_state'].__doc__ == 'Loads.'
