"""Known blur made once and written to disk."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from PIL import Image

from b2b_basicsr.archs import KernelWizard
from b2b_basicsr.commands.prepare_known_command import known
from b2b_basicsr.data.camera_shake import CameraShake
from b2b_basicsr.data.lmdb_clients import close_lmdb_clients
from b2b_basicsr.data.unpaired_blur_dataset import UnpairedBlurDataset
from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.known_set import picture_seed, write_known_set
from b2b_basicsr.prepare.known_source import KnownSource, known_source
from b2b_basicsr.prepare.picture_lmdb import write_picture_lmdb

Options = dict[str, Any]
CPU = torch.device('cpu')
KERNEL: Options = {'nf': 4, 'front_RBs': 1, 'back_RBs': 1, 'kernel_dim': 8, 'n_blocks': 0}


def _picture(seed: int, width: int = 60, height: int = 40) -> Image.Image:
    levels = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """S of two videos with five frames each, B, and pairs of a known set."""
    for folder, count in (('B', 2), ('S/v1', 5), ('S/v2', 5), ('C', 3), ('D', 3)):
        (tmp_path / folder).mkdir(parents=True)
        for index in range(count):
            picture = _picture(zlib.crc32(f'{folder}/{index}'.encode()), 80 if folder in 'CD' else 60)
            picture.save(tmp_path / folder / f'{index}.png')
    torch.manual_seed(0)
    torch.save(
        {f'module.{key}': value for key, value in KernelWizard(**KERNEL).state_dict().items()}, tmp_path / 'k.pth'
    )
    return tmp_path


def _options(root: Path, source: str) -> Options:
    train: Options = {
        'type': 'UnpairedBlurDataset',
        'dataroot_blur': str(root / 'B'),
        'dataroot_sharp': str(root / 'S'),
        'resize': 32,
        'gt_size': 32,
        'io_backend': {'type': 'disk'},
        'batch_size_per_gpu': 1,
    }
    opt: Options = {'manual_seed': 3, 'num_gpu': 0, 'datasets': {'train': train}, 'path': {}}
    if source == 'synth_known_opt':
        train['synth_known_opt'] = {'length': [4, 9], 'rotation': [0, 2], 'shot_noise': [0, 0.01]}
    elif source == 'frame_mean_opt':
        train['frame_mean_opt'] = {'frames': [2, 4]}
    else:
        train |= {'dataroot_known_blur': str(root / 'C'), 'dataroot_known_sharp': str(root / 'D')}
        opt['network_k'] = {'type': 'KernelWizard', **KERNEL}
        opt['path']['pretrain_network_k'] = str(root / 'k.pth')
    return opt


SOURCES = ('synth_known_opt', 'frame_mean_opt', 'network_k')


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def _lines(folder: Path) -> list[Options]:
    return [json.loads(line) for line in (folder / 'known.jsonl').read_text().splitlines()]


@pytest.mark.parametrize('kind', SOURCES)
def test_same_seed_same_bytes(root: Path, kind: str) -> None:
    opt = _options(root, kind)
    for name, seed in (('a', 0), ('b', 0), ('c', 1)):
        assert write_known_set(known_source(opt, CPU), root / name, seed, copies=1) == 10
    first, second, other = (_files(root / name) for name in 'abc')
    assert first == second
    assert {name for name in first if name.endswith('.png')} == {f'v{v}/{i}.png' for v in (1, 2) for i in range(5)}
    assert first != other
    header, *pictures = _lines(root / 'a')
    assert header['source'] == kind
    assert header['seed'] == 0
    assert set(header['versions']) == {'b2b_basicsr', 'torch', 'numpy', 'pillow'}
    assert len(pictures) == 10
    for line in pictures:
        assert line['sha256'] == hashlib.sha256(first[line['picture']]).hexdigest()
        assert line['sharp'] == line['picture']
        assert ('pair' in line) == (kind == 'network_k')
    with Image.open(root / 'a' / 'v1' / '0.png') as picture:
        assert picture.size == (48, 32)
    assert not list(root.glob('.*'))


def test_the_pictures_are_what_the_source_makes(root: Path) -> None:
    opt = _options(root, 'synth_known_opt')
    write_known_set(known_source(opt, CPU), root / 'known', 5, copies=2)
    shake = CameraShake.from_options('x', opt['datasets']['train']['synth_known_opt'])
    sharp = np.asarray(Image.open(root / 'S/v2/3.png').resize((48, 32), Image.Resampling.BICUBIC))
    for copy in (0, 1):
        expected = shake.blur_whole(sharp, picture_seed(5, 'v2/3.png', copy))
        assert np.array_equal(np.asarray(Image.open(root / f'known/v2/3_{copy}.png')), expected)


def test_kernel_network_blurs_by_the_pair_it_names(root: Path) -> None:
    source = known_source(_options(root, 'network_k'), CPU)
    write_known_set(source, root / 'known', 0, copies=1)
    line = _lines(root / 'known')[4]
    net = KernelWizard(**KERNEL).eval()
    net.load_state_dict({k.removeprefix('module.'): v for k, v in torch.load(root / 'k.pth').items()})

    def tensor(picture: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255

    pair = [tensor(Image.open(root / folder / line['pair']).crop(line['box'])) for folder in 'DC']
    sharp = Image.open(root / 'S' / line['sharp']).resize((48, 32), Image.Resampling.BICUBIC)
    with torch.no_grad():
        expected = net(*pair, tensor(sharp))[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255
    found = np.asarray(Image.open(root / 'known' / line['picture']))
    assert np.abs(found - expected).max() <= 0.5 + 1e-3


class _Stopping:
    """Stops a source at its n-th picture."""

    def __init__(self, source: KnownSource, after: int) -> None:
        self.made = 0
        self._make = source.make
        self._after = after
        source.make = self  # type: ignore[method-assign]

    def __call__(self, place: int, seed: int) -> Any:
        if self.made == self._after:
            raise KeyboardInterrupt
        self.made += 1
        return self._make(place, seed)


@pytest.mark.parametrize('kind', SOURCES)
def test_a_stopped_run_goes_on_and_ends_alike(root: Path, kind: str) -> None:
    opt = _options(root, kind)
    write_known_set(known_source(opt, CPU), root / 'whole', 0, copies=1)
    out, partial = root / 'known', root / '.known.partial'
    done = 0
    for after in (0, 3, 4):
        source = known_source(opt, CPU)
        stopping = _Stopping(source, after)
        with pytest.raises(KeyboardInterrupt):
            write_known_set(source, out, 0, copies=1)
        assert not out.exists(), 'a part of a set must not look whole'
        assert len(_lines(partial)) == 1 + done + stopping.made
        done += stopping.made
        # what a kill can leave behind: half a line, half a file
        with (partial / 'known.jsonl').open('a') as file:
            file.write('{"picture": "v2/')
        (partial / 'pictures' / '.b2b_unfinished-0.png').write_bytes(b'half')
    source = known_source(opt, CPU)
    counting = _Stopping(source, 99)
    write_known_set(source, out, 0, copies=1)
    assert counting.made == 10 - done
    assert _files(out) == _files(root / 'whole')
    assert not partial.exists()


def test_a_picture_lost_since_is_made_again(root: Path) -> None:
    opt = _options(root, 'synth_known_opt')
    write_known_set(known_source(opt, CPU), root / 'whole', 0, copies=1)
    source = known_source(opt, CPU)
    _Stopping(source, 5)
    with pytest.raises(KeyboardInterrupt):
        write_known_set(source, root / 'known', 0, copies=1)
    (root / '.known.partial/pictures/v1/2.png').unlink()
    write_known_set(known_source(opt, CPU), root / 'known', 0, copies=1)
    assert {line['picture']: line for line in _lines(root / 'known')[1:]} == {
        line['picture']: line for line in _lines(root / 'whole')[1:]
    }
    assert len(_lines(root / 'known')) == 11, 'one line a picture'
    assert {name: content for name, content in _files(root / 'known').items() if name.endswith('.png')} == {
        name: content for name, content in _files(root / 'whole').items() if name.endswith('.png')
    }


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda opt: {}, r'begun with another seed \(0, now 1\)'),
        (
            lambda opt: opt['datasets']['train']['synth_known_opt'].update(length=[1, 2]),
            'begun with another synth_known',
        ),
        (lambda opt: opt['datasets']['train'].update(resize=36), r'begun with another resize \(32, now 36\)'),
    ],
)
def test_other_settings_do_not_go_on(root: Path, change: Callable[[Options], Any], message: str) -> None:
    opt = _options(root, 'synth_known_opt')
    source = known_source(opt, CPU)
    _Stopping(source, 2)
    with pytest.raises(KeyboardInterrupt):
        write_known_set(source, root / 'known', 0, copies=1)
    before = _files(root / '.known.partial')
    seed = 1 if change(opt) == {} else 0
    with pytest.raises(UserError, match=message):
        write_known_set(known_source(opt, CPU), root / 'known', seed, copies=1)
    assert _files(root / '.known.partial') == before


def test_what_is_there_is_not_touched(root: Path) -> None:
    source = known_source(_options(root, 'synth_known_opt'), CPU)
    with pytest.raises(UserError, match='is there already'):
        write_known_set(source, root / 'S', 0, copies=1)
    (root / '.known.partial').mkdir()
    (root / '.known.partial' / 'mine.txt').write_text('x')
    with pytest.raises(UserError, match='is in the way'):
        write_known_set(source, root / 'known', 0, copies=1)
    assert (root / '.known.partial' / 'mine.txt').read_text() == 'x'


def test_unreadable_picture_is_named_and_the_rest_kept(root: Path) -> None:
    (root / 'S/v2/1.png').write_bytes(b'no picture')
    with pytest.raises(UserError, match=r'v2/1\.png cannot be read'):
        write_known_set(known_source(_options(root, 'synth_known_opt'), CPU), root / 'known', 0, copies=1)
    assert not (root / 'known').exists()
    _picture(1).save(root / 'S/v2/1.png')
    assert write_known_set(known_source(_options(root, 'synth_known_opt'), CPU), root / 'known', 0, copies=1) == 10


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'dataroot_known': 'x', 'synth_known_opt': None}, 'dataroot_known: K is ready-made'),
        ({'type': 'PairedImageDataset'}, 'known blur is made for type: UnpairedBlurDataset'),
        ({'dataroot_sharp': 'nowhere'}, 'dataroot_sharp: no folder'),
        ({'synth_known_opt': None}, 'exactly one source'),
    ],
)
def test_wrong_options(root: Path, change: Options, message: str) -> None:
    opt = _options(root, 'synth_known_opt')
    opt['datasets']['train'] |= change
    with pytest.raises(UserError, match=message):
        known_source(opt, CPU)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'network_k': None}, 'network_k: missing'),
        ({'network_k': {'type': 'MIMOUNet', 'num_res': 1}}, 'MIMOUNet carries no blur over'),
        ({'network_k': {'type': 'KernelWizard', 'nff': 3}}, 'network_k: KernelWizard: .*nff'),
        ({'network_k': {'type': 'KernelWizard'}}, 'checkpoint of another network'),
        ({'path': {}}, 'path:pretrain_network_k: missing'),
    ],
)
def test_wrong_network(root: Path, change: Options, message: str) -> None:
    with pytest.raises(UserError, match=message):
        known_source({**_options(root, 'network_k'), **change}, CPU)


def test_command_makes_a_set_that_trains(root: Path) -> None:
    opt = _options(root, 'network_k')
    file = root / 'train.yml'
    file.write_text(yaml.safe_dump(opt))
    result = CliRunner().invoke(
        known, ['-opt', str(file), '--force_yml', 'manual_seed=7', 'num_gpu=0'], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    assert f'dataroot_known: {root / "known"}' in result.output
    assert _lines(root / 'known')[0]['seed'] == 7
    train = opt['datasets']['train']
    for key in ('dataroot_known_blur', 'dataroot_known_sharp'):
        del train[key]
    train['dataroot_known'] = str(root / 'known')
    dataset = UnpairedBlurDataset(train)
    dataset.check_pictures()
    assert dataset.known is not None
    assert len(dataset.known) == 10
    assert dataset[0]['known'].shape == (3, 32, 32)


def test_database_from_a_database(root: Path) -> None:
    write_picture_lmdb(root / 'S', root / 'S.lmdb', lambda _: None)
    write_picture_lmdb(root / 'B', root / 'B.lmdb', lambda _: None)
    opt = _options(root, 'frame_mean_opt')
    train = opt['datasets']['train']
    train |= {'dataroot_sharp': str(root / 'S.lmdb'), 'dataroot_blur': str(root / 'B.lmdb')}
    train['io_backend'] = {'type': 'lmdb'}
    file = root / 'train.yml'
    file.write_text(yaml.safe_dump(opt))
    with pytest.raises(UserError, match=r'the name of K ends in \.lmdb'):
        CliRunner().invoke(known, ['-opt', str(file), '-o', str(root / 'k')], catch_exceptions=False)
    result = CliRunner().invoke(known, ['-opt', str(file)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert len(_lines(root / 'known.lmdb')) == 11
    del train['frame_mean_opt']
    train['dataroot_known'] = str(root / 'known.lmdb')
    try:
        assert UnpairedBlurDataset(train)[0]['known'].shape == (3, 32, 32)
    finally:
        close_lmdb_clients()


def test_names_of_a_database_are_those_of_its_pictures(root: Path) -> None:
    (root / 'S' / 'v1').rename(root / 'S' / 'scene 1.2')
    write_picture_lmdb(root / 'S', root / 'S.lmdb', lambda _: None)
    opt = _options(root, 'synth_known_opt')
    opt['datasets']['train'] |= {'dataroot_sharp': str(root / 'S.lmdb'), 'io_backend': {'type': 'lmdb'}}
    try:
        write_known_set(known_source(opt, CPU), root / 'known.lmdb', 0, copies=1)
    finally:
        close_lmdb_clients()
    lines = [
        [line.split('.')[0] for line in (root / name / 'meta_info.txt').read_text().splitlines()]
        for name in ('known.lmdb', 'S.lmdb')
    ]
    assert lines[0] == lines[1]
    assert 'scene%201%2E2/0' in lines[0]


@pytest.mark.parametrize('key', ['/OUTSIDE/evil', '%2E%2E/%2E%2E/evil', 'a%5Cevil'])
def test_a_key_that_leaves_the_folder_is_refused(root: Path, key: str) -> None:
    write_picture_lmdb(root / 'S', root / 'S.lmdb', lambda _: None)
    key = key.replace('/OUTSIDE', str(root / 'outside'))
    (root / 'outside').mkdir()
    with lmdb.open(str(root / 'S.lmdb')) as environment, environment.begin(write=True) as transaction:
        transaction.put(key.encode(), (root / 'S/v1/0.png').read_bytes())
    with (root / 'S.lmdb' / 'meta_info.txt').open('a') as file:
        file.write(f'{key}.png (40,60,3) 1\n')
    opt = _options(root, 'synth_known_opt')
    opt['datasets']['train'] |= {'dataroot_sharp': str(root / 'S.lmdb'), 'io_backend': {'type': 'lmdb'}}
    try:
        with pytest.raises(UserError, match='evil'):
            write_known_set(known_source(opt, CPU), root / 'known.lmdb', 0, copies=1)
    finally:
        close_lmdb_clients()
    assert not list(root.rglob('evil*'))


@pytest.mark.parametrize('out', ['S/known', 'S/v1/known', 'C/known', 'D'])
def test_k_does_not_go_into_what_it_is_made_of(root: Path, out: str) -> None:
    with pytest.raises(UserError, match=r'would lie in its own source|is there already'):
        write_known_set(known_source(_options(root, 'network_k'), CPU), root / out, 0, copies=1)
    assert not (root / 'S/known').exists()


def test_s_is_the_working_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / 'S')
    opt = _options(root, 'synth_known_opt')
    opt['datasets']['train']['dataroot_sharp'] = '.'
    (root / 'train.yml').write_text(yaml.safe_dump(opt))
    result = CliRunner().invoke(known, ['-opt', str(root / 'train.yml')], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert len(_lines(root / 'known')) == 11


def test_what_belongs_nowhere_is_refused(root: Path) -> None:
    (root / 'train.yml').write_text(yaml.safe_dump(_options(root, 'synth_known_opt')))
    with pytest.raises(UserError, match='manual_seed=7: unexpected; entries to change go behind --force_yml'):
        CliRunner().invoke(known, ['-opt', str(root / 'train.yml'), 'manual_seed=7'], catch_exceptions=False)


def test_a_gpu_that_is_not_there_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    (root / 'train.yml').write_text(yaml.safe_dump(_options(root, 'synth_known_opt')))
    with pytest.raises(UserError, match='--device cuda: there is no GPU'):
        CliRunner().invoke(known, ['-opt', str(root / 'train.yml'), '--device', 'cuda'], catch_exceptions=False)
