"""Option files that nobody would write: they pass, or end in one line, and nothing appears on disk."""

from __future__ import annotations

import contextlib
import io
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import basicsr.utils.options
import numpy as np
import pytest
import torch
import yaml
from basicsr.data import build_dataset
from hypothesis import assume, currently_in_test_context, given
from hypothesis import strategies as st
from PIL import Image

from b2b_basicsr.archs.nafnet_arch import NAFNet
from b2b_basicsr.checks.section_check import check_sections
from b2b_basicsr.checks.section_types import PICTURE_SETS, TRAINING_SETS, known_losses
from b2b_basicsr.compat.our_option_files import is_our_option_file
from b2b_basicsr.errors import UserError
from b2b_basicsr.models.blur2blur_options import PathOptions, TrainOptions
from b2b_basicsr.models.deblur_options import DeblurTrainOptions
from b2b_basicsr.models.optimizer_options import CosineRestartOptions, MultiStepOptions, OptimizerOptions
from b2b_basicsr.models.option_files import OPTION_FILES
from b2b_basicsr.models.training_options import LoggerOptions
from b2b_basicsr.models.val_options import RestorationValOptions
from b2b_basicsr.options.option_file import read_option_file
from b2b_basicsr.shipped_options import shipped_option_files

Options = dict[str, Any]
Path_ = tuple[str | int, ...]

_TINY = {'type': 'NAFNet', 'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]}


_NAMES = st.sampled_from(['b2b_demo', 'test_b2b_demo', 'deblur_gopro_nafnet', 'kernel_gopro'])


class TinyFiles:
    """Shipped option files over small pictures and networks: the demo's, a deblurrer's and the kernel network's.

    Args:
        root: where pictures and weights are laid out.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._shipped = {file.stem: read_option_file(file) for file in shipped_option_files()}
        levels = np.random.default_rng(0).integers(0, 256, (24, 28, 3), dtype=np.uint8)
        for folder in ('blurry', 'sharp'):
            (root / folder).mkdir()
            Image.fromarray(levels).save(root / folder / '0.png')
        torch.save({'params': NAFNet(width=4, enc_blk_nums=[1], dec_blk_nums=[1]).state_dict()}, root / 'net.pth')

    def options(self, name: str) -> Options:
        """An option file's content, one's own to change."""
        return _made_tiny(self._shipped[name], self._root)

    @staticmethod
    def is_train(name: str) -> bool:
        """Whether it is a training's."""
        return not name.startswith('test')


@pytest.fixture(scope='module')
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> TinyFiles:
    return TinyFiles(tmp_path_factory.mktemp('hostile'))


def _made_tiny(opt: Options, root: Path) -> Options:
    opt = _plain(opt)
    opt['num_gpu'] = 0
    for key in [key for key in opt if key.startswith('network_')]:
        opt[key] = dict(_TINY)
    if opt['model_type'] == 'KernelWizardModel':
        opt['network_g'] = {
            **{'type': 'KernelWizard', 'nf': 4, 'front_RBs': 1, 'back_RBs': 1},
            **{'kernel_dim': 8, 'n_blocks': 0},
        }
    if 'network_d' in opt:
        opt['network_d'] = {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'n_layers': 1, 'norm': 'none'}
    for key in list(opt['path']):
        if key.startswith('pretrain_network'):
            needed = 'train' not in opt or key.endswith('deblur')
            opt['path'][key] = str(root / 'net.pth') if needed else None
            opt['path'][key.replace('pretrain_network', 'param_key')] = 'params'
    for section in opt['datasets'].values():
        for key in [key for key in section if key.startswith('dataroot')]:
            section[key] = str(root / ('sharp' if 'gt' in key or 'sharp' in key else 'blurry'))
        if 'gt_size' in section:
            section |= {'gt_size': 16, 'batch_size_per_gpu': 2, 'num_worker_per_gpu': 0}
    return opt


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _dumped(opt: Options) -> str:
    text: str = yaml.dump(opt, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return text


def _places(value: Any, place: Path_ = ()) -> Iterator[Path_]:
    if place:
        yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from _places(each, (*place, key))


_ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, 3, 17, 2**31, 2**63, 10**30, -(10**30), 1e-4, 0.5, -0.5, 1e300, math.inf, math.nan]),
    st.sampled_from(
        ['', ' ', '~', '1e-4', '5', 'true', 'auto', 'none', 'nowhere', 'ünïcödé', '💥', 'a\nb', '\0', 'a:b']
    ),
    st.sampled_from(['x' * 5000, '../..', '{}', '{0}', '{', '%s', "'", '"', '\\', '\u2028', '\x1b[31m']),
    st.text(max_size=12),
    st.integers(),
    st.floats(),
    st.binary(max_size=4),
    st.dates(),
    st.sampled_from([[], {}, [[]], [None], [1, 2], [2, 1], ['a'], {'type': 'x'}, {'type': None}, {'x': {'y': [1]}}]),
    st.lists(st.one_of(st.integers(-3, 300), st.floats(), st.none(), st.text(max_size=3)), max_size=5),
)


def _typed_sections(opt: Options) -> Iterator[tuple[Options, Iterable[str]]]:
    """The sections of a file, each with all keys that its type knows, also those that no shipped file has."""
    model = opt.get('model_type')
    file = OPTION_FILES.get(model) if isinstance(model, str) else None
    if file is None:
        return
    yield opt, file.model_fields
    kinds: dict[str, Any] = {'path': PathOptions, 'logger': LoggerOptions, 'val': RestorationValOptions}
    kinds['train'] = DeblurTrainOptions if file is OPTION_FILES['DeblurModel'] else TrainOptions
    for key, kind in kinds.items():
        if isinstance(opt.get(key), dict):
            yield opt[key], kind.model_fields
    datasets = opt.get('datasets')
    for phase, section in datasets.items() if isinstance(datasets, dict) else ():
        if isinstance(section, dict) and isinstance(section.get('type'), str):
            kind = (TRAINING_SETS if phase == 'train' else PICTURE_SETS).get(section['type'])
            if kind is not None:
                yield section, kind.model_fields
    train = opt.get('train')
    for section in train.values() if isinstance(train, dict) else ():
        if isinstance(section, dict) and isinstance(section.get('type'), str) and section['type'] in _TYPES_BY_NAME:
            yield section, _TYPES_BY_NAME[section['type']].model_fields


_TYPES_BY_NAME: dict[str, Any] = {
    'Adam': OptimizerOptions,
    'AdamW': OptimizerOptions,
    'MultiStepLR': MultiStepOptions,
    'CosineAnnealingRestartLR': CosineRestartOptions,
    **known_losses(),
}


@st.composite
def _changes(draw: st.DrawFn) -> list[tuple[str, float, Any, str]]:
    kinds = ('drop', 'misspell', 'set', 'set', 'set', 'nest', 'unwrap', 'copy', 'add', 'known', 'known', 'known')
    one = st.tuples(st.sampled_from(kinds), st.floats(0, 1, exclude_max=True), _ODD_VALUES, st.text(max_size=8))
    return draw(st.lists(one, min_size=1, max_size=3))


def _mutated(opt: Options, changes: list[tuple[str, float, Any, str]]) -> Options:
    opt = deepcopy(opt)
    for kind, where, value, text in changes:
        places = list(_places(opt))
        if not places:
            break
        place = places[int(where * len(places))]
        section: Any = opt
        for key in place[:-1]:
            section = section[key]
        key = place[-1]
        if kind == 'drop':
            del section[key]
        elif kind == 'misspell' and isinstance(section, dict):
            name = str(key)
            cut = int(where * 1000) % max(len(name), 1)
            section[name[:cut] + text[:1] + name[cut + 1 :]] = section.pop(key)
        elif kind == 'nest':
            section[key] = {str(key): section[key]}
        elif kind == 'unwrap' and isinstance(section[key], dict) and section[key]:
            section[key] = next(iter(section[key].values()))
        elif kind == 'copy' and isinstance(section, dict):
            section[f'{key}_2'] = deepcopy(section[key])
        elif kind == 'known':
            sections = list(_typed_sections(opt))
            if sections:
                chosen, known = sections[int(where * len(sections))]
                absent = sorted(set(known) - set(chosen)) or sorted(known)
                chosen[absent[int(where * 1e6) % len(absent)]] = deepcopy(value)
        elif kind == 'add' and isinstance(section[key], dict):
            section[key][text] = deepcopy(value)
        else:
            section[key] = deepcopy(value)
    return opt


@pytest.fixture
def outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Has BasicSR's parser, and with it all checks, read a file; gives the one line that it ended in, or nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'excepthook', sys.excepthook)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 0)

    def read(text: str, is_train: bool, *arguments: str) -> str:
        path = tmp_path / 'odd.yml'
        path.write_text(text, encoding='utf-8', errors='surrogatepass')
        with contextlib.suppress(UserError):
            if not is_our_option_file(read_option_file(path)):
                # BasicSR may die of others' as it likes, but not in our checks, which see what is of ours in it.
                assume(not currently_in_test_context())
        monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', str(path), *arguments])
        said, printed = io.StringIO(), io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(printed):
            try:
                basicsr.utils.options.parse_options(str(tmp_path), is_train=is_train)
            except SystemExit as end:
                assert end.code == 2, end.code  # noqa: PT017
                line = said.getvalue()
                assert line.startswith('error: '), line
                assert line.endswith('\n'), line
                assert len(line.splitlines()) == 1, line
                assert 'Traceback' not in line
                return line
            finally:
                assert os.listdir(tmp_path) == ['odd.yml']
        assert 'Traceback' not in said.getvalue()
        return ''

    return read


@pytest.mark.parametrize('name', ['b2b_demo', 'test_b2b_demo', 'deblur_gopro_nafnet', 'kernel_gopro'])
def test_the_files_pass_unchanged(tiny_files: TinyFiles, outcome: Callable[..., str], name: str) -> None:
    assert outcome(_dumped(tiny_files.options(name)), tiny_files.is_train(name)) == ''


@given(name=_NAMES, changes=_changes())
def test_changed_trees(
    tiny_files: TinyFiles,
    outcome: Callable[..., str],
    name: str,
    changes: list[tuple[str, float, Any, str]],
) -> None:
    opt = _mutated(tiny_files.options(name), changes)
    outcome(_dumped(opt), tiny_files.is_train(name))


@given(name=_NAMES, changes=_changes(), known=st.sampled_from(['SRModel', 'ESRGANModel']))
def test_changed_trees_with_somebody_elses_model(
    tiny_files: TinyFiles, name: str, changes: list[tuple[str, float, Any, str]], known: str
) -> None:
    """What is left of BasicSR's own mistakes is its own; our checks of the sections end in one line."""
    opt = _mutated(tiny_files.options(name), changes)
    opt['model_type'] = known
    with contextlib.suppress(UserError):
        check_sections(opt, tiny_files.is_train(name))


@given(
    names=st.lists(
        st.sampled_from(
            ['Thumbs.db', 'x.jpe', '.hidden', 'a b.png', 'ü.PNG', 'readme', 'sub/0.png', 'x.png~', 'a\nb.txt']
        ),
        unique=True,
        max_size=4,
    ),
    kind=st.sampled_from(['PairedImageDataset', 'PairedFolderDataset', 'SingleImageDataset', 'SingleFolderDataset']),
    folder=st.sampled_from(['dataroot_lq', 'dataroot_gt']),
)
def test_stray_files_in_folders(
    tiny_files: TinyFiles,
    tmp_path_factory: pytest.TempPathFactory,
    outcome: Callable[..., str],
    names: list[str],
    kind: str,
    folder: str,
) -> None:
    opt = tiny_files.options('test_b2b_demo')
    root = tmp_path_factory.mktemp('stray')
    (name,) = list(opt['datasets'])[:1]
    shutil.copy(Path(opt['datasets'][name]['dataroot_lq'], '0.png'), root / '0.png')
    for stray in names:
        (root / stray).parent.mkdir(exist_ok=True)
        (root / stray).write_bytes(b'stray')
    opt['datasets'] = {name: {**opt['datasets'][name], 'type': kind, folder: str(root)}}
    if outcome(_dumped(opt), False) == '':
        build_dataset({**opt['datasets'][name], 'phase': 'test', 'scale': 1})


_ODD_LINES = st.one_of(
    st.sampled_from(
        [
            *(
                'name: again',
                'train:',
                'datasets: {}',
                '? [a, b]\n: c',
                '1: x',
                '~: x',
                '<<: {a: 1}',
                '- x',
                '---',
                '...',
            ),
            *('a: &a [*a]', 'a: &a {b: *a}', 'a: !!python/object/apply:os.getcwd []', 'a: !!float x', 'a: !!int ""'),
            *(
                'a: !!binary "?"',
                'a: 2024-13-45',
                'a: !!timestamp x',
                'a: "\\u0000"',
                'a: "\\ud800"',
                '\ta: 1',
                'a: [1,',
            ),
            *(
                'a: ' + '[' * 3000,
                '%YAML 9.9',
                'a: *nowhere',
                'name: "a\\nb"',
                '"": 1',
                '" ": 1',
                'a: !x y',
                '\x07',
                '@',
            ),
            *('train: {total_iter: 1, total_iter: 2}', 'val: ~', 'path: []', 'model_type: Blur2BlurModel', '\ufeff'),
        ]
    ),
    st.text(max_size=30),
)


@given(
    name=_NAMES,
    line=_ODD_LINES,
    where=st.floats(0, 1),
    instead=st.booleans(),
)
def test_odd_yaml(
    tiny_files: TinyFiles,
    outcome: Callable[..., str],
    name: str,
    line: str,
    where: float,
    instead: bool,
) -> None:
    lines = _dumped(tiny_files.options(name)).splitlines()
    at = int(where * len(lines))
    lines[at : at + 1 if instead else at] = [line]
    outcome('\n'.join(lines) + '\n', tiny_files.is_train(name))


@given(
    key=st.sampled_from(
        [
            'train:optim_g:lr',
            'train:total_iter',
            'name',
            'datasets:train:gt_size',
            'val:val_freq',
            'nothing:x',
            'num_gpu',
        ]
    ),
    value=st.one_of(
        st.sampled_from(
            ['5e-4', '!!float5e-4', '~', 'none', '[1', '[]', '[1,2]', 'true', '', '1_0', '٣', '1.', '.', '-1']
        ),
        st.text(max_size=8),
    ),
)
def test_odd_force_yml(tiny_files: TinyFiles, outcome: Callable[..., str], key: str, value: str) -> None:
    if not value.startswith('[') or value in ('[1', '[]', '[1,2]'):  # BasicSR evaluates lists
        outcome(_dumped(tiny_files.options('b2b_demo')), True, '--force_yml', f'{key}={value}')
