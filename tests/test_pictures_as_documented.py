"""docs/pictures.md says what becomes of each kind of picture file; here each is made, and tried."""

from __future__ import annotations

import re
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
from PIL import Image

from b2b_basicsr.checks.data_check import check_dataset
from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.data.single_folder_dataset import SingleFolderDataset
from b2b_basicsr.data.unpaired_blur_dataset import UnpairedBlurDataset
from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.select_pictures import SelectSettings, select_pictures
from b2b_basicsr.prepare.select_rule import KeepRule
from b2b_basicsr.prepare.select_scores import ScoredSet, score_pictures
from b2b_basicsr.report.embedded_pictures import read_levels
from b2b_basicsr.restore.inputs import PICTURE_EXTENSIONS, find_jobs
from b2b_basicsr.restore.picture_file import read_picture
from b2b_basicsr.restore.restore_files import RestoreSettings, restore_files
from tests.picture_kinds import KINDS, encoded, photograph
from tests.restore.conftest import Identity

_DOCUMENT = Path(__file__).parents[1] / 'docs' / 'pictures.md'
_CASES = [(kind, name) for kind, files in KINDS.items() for name in files]
_LONG = '30000x20'
_CROP = 16
_SECONDS = 20


def _table() -> dict[str, list[str]]:
    rows = re.findall(r'^\| (.+) \|$', _DOCUMENT.read_text(encoding='utf-8'), re.MULTILINE)
    head, _, *body = [row.split(' | ') for row in rows]
    assert head == ['kind', 'trains', 'validates', 'restores', 'scored, known blur']
    return {kind: [re.match('yes|refused|left out', cell)[0] for cell in cells] for kind, *cells in body}  # type: ignore[index]


_SAID = _table()


def test_every_kind_is_in_the_table_and_every_row_is_tried() -> None:
    assert set(_SAID) == set(KINDS)


@pytest.fixture(autouse=True)
def _neither_hangs_nor_fills_the_memory() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with _at_most(_SECONDS):
        yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KB; a bomb would take 600 MB


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise TimeoutError(f'took more than {seconds} s')

    earlier = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, earlier)


@pytest.fixture(params=_CASES, ids=[f'{kind}-{name}' for kind, name in _CASES])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, Path]:
    kind, name = request.param
    folder = tmp_path / 'in'
    folder.mkdir()
    try:
        path = KINDS[kind][name](folder)
    except OSError:
        pytest.skip('the file system takes no such file')
    if kind.startswith('file without permission'):
        try:
            path.read_bytes()
        except PermissionError:
            pass
        else:
            pytest.skip('this user may read everything')
    return kind, folder, path


def _outcome(do: Callable[[], Any]) -> str:
    try:
        do()
    except UserError:
        return 'refused'
    return 'yes'


def _looks_right(levels: Any) -> bool:
    """Whether it is the photograph, in colours or grey, neither clipped nor dark."""
    if min(levels.shape[:2]) < 24:
        return True
    upright = photograph() if levels.shape[0] < levels.shape[1] else np.rot90(photograph(), -1)
    return bool(abs(levels.astype(float).mean() - upright.mean()) < 6)


def _training(roots: dict[str, str], backend: str) -> UnpairedBlurDataset:
    return UnpairedBlurDataset(
        {
            **{'name': 'x', 'type': 'UnpairedBlurDataset', 'phase': 'train', 'batch_size_per_gpu': 1},
            **{'gt_size': _CROP, 'resize': None, 'ratio': None, 'io_backend': {'type': backend}},
            **roots,
        }
    )


def _trains(folder: Path, sharp: Path, backend: str) -> None:
    dataset = _training({'dataroot_blur': str(folder), 'dataroot_known': str(sharp)}, backend)
    dataset.check_pictures()
    assert len(dataset) == 1
    sample = dataset[0]
    assert sample['lq'].shape == (3, _CROP, _CROP)
    assert not sample['replaced']
    picture = dataset.blur.read(0)
    assert picture.mode == 'RGB'
    assert picture.size == dataset.blur.size(0) == dataset.blur.open(0).size
    assert _looks_right(np.asarray(picture))


def test_training(case: tuple[str, Path, Path], tmp_path: Path) -> None:
    kind, folder, path = case
    sharp = tmp_path / 'sharp'
    sharp.mkdir()
    (sharp / '0.png').write_bytes(encoded('PNG'))
    assert _outcome(lambda: _trains(folder, sharp, 'disk')) == _SAID[kind][0]
    if not path.is_file():
        return
    for root, content in ((tmp_path / 'in.lmdb', path.read_bytes()), (tmp_path / 'sharp.lmdb', encoded('PNG'))):
        with lmdb.open(str(root), map_size=1 << 24) as database, database.begin(write=True) as writing:
            writing.put(b'picture', content)
        (root / 'meta_info.txt').write_text('picture.png (24,40,3) 1\n')
    outcome = _outcome(lambda: _trains(tmp_path / 'in.lmdb', tmp_path / 'sharp.lmdb', 'lmdb'))
    assert outcome == _SAID[kind][0]


def _validates(folder: Path) -> None:
    section = {'name': 'x', 'type': 'SingleFolderDataset', 'dataroot_lq': str(folder), 'io_backend': {'type': 'disk'}}
    check_dataset('val', section, False)
    dataset = SingleFolderDataset({**section, 'phase': 'val'})
    assert len(dataset) == 1
    picture = dataset[0]['lq'].numpy()
    assert picture.shape[0] == 3
    assert picture.dtype == np.float32
    assert _looks_right(picture.transpose(1, 2, 0) * 255)


def test_validation_and_report(case: tuple[str, Path, Path]) -> None:
    kind, folder, path = case
    assert _outcome(lambda: _validates(folder)) == _SAID[kind][1]
    levels = read_levels(path)
    assert (levels is None) == (_SAID[kind][1] == 'refused' and not kind.startswith('name that'))
    assert levels is None or (levels.dtype == np.uint8 and levels.shape[2] == 3)


@pytest.mark.parametrize('kind', ['truncated', 'PNG with a wrong checksum', 'decompression bomb', 'zero bytes'])
def test_sets_that_opencv_reads_are_looked_at_before(kind: str, tmp_path: Path) -> None:
    for name, write in KINDS[kind].items():
        roots = {'dataroot_lq': tmp_path / name / 'lq', 'dataroot_gt': tmp_path / name / 'gt'}
        for root in roots.values():
            root.mkdir(parents=True)
            path = write(root)
        (roots['dataroot_gt'] / path.name).write_bytes(encoded('PNG'))
        section = {'name': 'x', 'type': 'PairedImageDataset', 'io_backend': {'type': 'disk'}}
        with pytest.raises(UserError, match=f'{path.name} cannot be read'):
            check_dataset('val', {**section, **{key: str(root) for key, root in roots.items()}}, False)


def test_restoring(case: tuple[str, Path, Path], tmp_path: Path) -> None:
    kind, folder, path = case
    (folder / 'zz_sound.png').write_bytes(encoded('PNG'))
    found = find_jobs([str(folder)], tmp_path / 'out')
    said: list[str] = []
    network = Identity()
    outcome = restore_files(found.jobs, network, RestoreSettings(direct=True), said.append, show_bar=False)
    written = {file.relative_to(tmp_path / 'out') for file in (tmp_path / 'out').rglob('*') if file.is_file()}
    sound, own = Path('zz_sound.png'), path.relative_to(folder)
    assert sound in written
    assert all(_looks_right(given / 257 if given.dtype == np.uint16 else given) for given in network.given)
    expected = _SAID[kind][2] if path.suffix in PICTURE_EXTENSIONS else 'left out'
    if expected == 'yes':
        assert (outcome.restored, outcome.failed, sum(found.others.values())) == (2, [], 0)
        assert written == {sound, own}
        assert read_picture(tmp_path / 'out' / own).format == read_picture(path).format
    else:
        assert written == {sound}
        refused = int(expected == 'refused')
        assert (outcome.restored, len(outcome.failed), sum(found.others.values())) == (1, refused, 1 - refused)
        assert len(said) == refused
        assert not any('\n' in line or 'report this' in line for line in said)


def test_scoring(case: tuple[str, Path, Path]) -> None:
    kind, folder, _ = case
    scored = ScoredSet(PictureSource('FOLDER', str(folder), {'type': 'disk'}), None, 512 if kind == _LONG else None)
    assert _outcome(lambda: score_pictures(scored, workers=1)) == _SAID[kind][3]


def test_a_refused_picture_leaves_nothing_of_a_selection(tmp_path: Path) -> None:
    folder = tmp_path / 'in'
    folder.mkdir()
    KINDS['truncated']['jpeg'](folder)
    rule = KeepRule('blurred', 'blur', share=1.0)
    with pytest.raises(UserError, match=r'cut\.jpg cannot be read'):
        select_pictures(folder, None, tmp_path / 'out', rule, SelectSettings(resize=None))
    assert [entry.name for entry in tmp_path.iterdir()] == ['in']


def test_resize_makes_one_pixel_large_enough_for_training(tmp_path: Path) -> None:
    folder = tmp_path / 'in'
    folder.mkdir()
    KINDS['1x1']['png'](folder)
    dataset = UnpairedBlurDataset(
        {**_training({'dataroot_blur': str(folder), 'dataroot_known': str(folder)}, 'disk').opt, 'resize': _CROP}
    )
    assert dataset[0]['lq'].shape == (3, _CROP, _CROP)


def test_the_limit_of_a_bomb_can_be_lifted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from b2b_basicsr import picture_content

    (tmp_path / 'large.png').write_bytes(encoded('PNG', Image.new('RGB', (40, 20))))
    source = PictureSource('key', str(tmp_path), {'type': 'disk'})
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    jobs = find_jobs([str(tmp_path)], tmp_path / 'out').jobs

    def restored() -> int:
        settings = RestoreSettings(direct=True)
        return restore_files(jobs, Identity(), settings, lambda line: None, show_bar=False).restored

    with pytest.raises(UserError, match='B2B_MAX_PIXELS'):
        source.read(0)
    assert restored() == 0
    monkeypatch.setenv('B2B_MAX_PIXELS', '1600')
    picture_content._set_by_environment.cache_clear()
    assert source.read(0).size == (40, 20)
    assert restored() == 1
    monkeypatch.setenv('B2B_MAX_PIXELS', 'many')
    picture_content._set_by_environment.cache_clear()
    with pytest.raises(UserError, match="B2B_MAX_PIXELS: 'many'"):
        source.read(0)
    picture_content._set_by_environment.cache_clear()
