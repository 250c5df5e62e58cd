from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

from b2b_basicsr.archs.nafnet_arch import NAFNet
from b2b_basicsr.commands.restore_command import restore
from b2b_basicsr.errors import UserError
from b2b_basicsr.restore import in_background, picture_file, restore_files, video_writer
from b2b_basicsr.restore.inputs import Job
from b2b_basicsr.restore.pipeline import Blur2BlurPipeline
from b2b_basicsr.restore.sharing import Meeting, Share
from b2b_basicsr.restore.video_writer import VideoWriter
from b2b_basicsr.tiling import DEFAULT_OVERLAP
from b2b_basicsr.whole_file import whole_file

Pixels = NDArray[Any]


class StandIn:
    """Translates by adding 10 levels, deblurs by adding 1."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.seen: list[Pixels] = []
        self.do: Callable[[], None] = lambda: None

    def from_files(self, **asked: Any) -> StandIn:
        self.asked = asked
        return self

    def __call__(
        self,
        picture: Pixels,
        return_translated: bool = False,
        translate: bool = True,
        progress: Callable[[int], object] | None = None,
    ) -> Any:
        self.do()
        self.seen.append(picture)
        if progress is not None:
            progress(len(picture))
        translated = picture + np.array(10 if translate and self.asked['translator'] else 0, picture.dtype)
        return (translated + 1, translated) if return_translated else translated + 1


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(Blur2BlurPipeline, 'from_files', stand_in.from_files)
    return stand_in


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.delenv(name, raising=False)
    for place, name in enumerate(('1.png', 'b c/2.png', 'b c/é日.png')):
        (tmp_path / 'in' / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (20, 12), (place, 100, 200)).save(tmp_path / 'in' / name)
    return tmp_path / 'in'


BOTH = ('--translator', 'G.pth', '--deblurrer', 'D.pth')


def run(*arguments: str) -> Result:
    return CliRunner().invoke(restore, [*arguments])


def level(path: str | Path) -> int:
    picture = np.asarray(Image.open(path))
    assert (picture == picture[0, 0]).all()
    return int(picture[0, 0, 0])


def below(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob('*') if path.is_file())


def test_a_folder_is_restored_under_the_same_names(folder: Path, pipeline: StandIn) -> None:
    result = run('in', '-o', 'out', *BOTH, '--tile', '256', '--overlap', '32', '--device', 'cpu')
    assert result.exit_code == 0, result.output
    assert result.stdout == '3 restored\n'
    assert below('out') == below('in')
    assert [level(f'out/{name}') for name in ('1.png', 'b c/2.png', 'b c/é日.png')] == [11, 12, 13]
    asked = {name: str(value) for name, value in pipeline.asked.items()}
    assert asked == {
        'translator': 'G.pth',
        'deblurrer': 'D.pth',
        'translator_opt': 'None',
        'deblurrer_opt': 'None',
        'device': 'cpu',
        'tile': '256',
        'overlap': '32',
        'tile_batch': 'auto',
        'precision': 'fp32',
        'compile': 'False',
    }


@pytest.mark.parametrize(('given', 'tile'), [((), 'auto'), (('--tile', 'none'), None), (('--tile', '128'), 128)])
def test_tiles(folder: Path, pipeline: StandIn, given: tuple[str, ...], tile: Any) -> None:
    assert run('in/1.png', '-o', 'out', *BOTH, *given).exit_code == 0
    assert pipeline.asked['tile'] == tile
    assert 'overlap' not in pipeline.asked


def test_speed_is_asked_for(folder: Path, pipeline: StandIn) -> None:
    assert run('in/1.png', '-o', 'out', *BOTH, '--precision', 'bf16', '--compile', '--tile-batch', '4').exit_code == 0
    assert [pipeline.asked[name] for name in ('precision', 'compile', 'tile_batch')] == ['bf16', True, 4]
    for wrong in (('--tile-batch', '0'), ('--precision', 'fp8')):
        assert run('in/1.png', '-o', 'out', *BOTH, *wrong).exit_code == 2


def test_the_next_is_read_and_the_last_written_while_one_is_restored(
    folder: Path, pipeline: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_read, real_write = picture_file.read_picture, picture_file.write_picture
    read, written = [threading.Event() for _ in range(3)], threading.Event()
    may_write = threading.Event()
    ahead: list[int] = []

    def reading(path: Path) -> Any:
        picture = real_read(path)
        read[sum(event.is_set() for event in read)].set()
        return picture

    def writing(*given: Any) -> None:
        if not written.is_set():
            assert may_write.wait(10)  # would never come if the second were restored after this
        real_write(*given)
        written.set()

    def between() -> None:
        number = len(pipeline.seen)
        if number < 2:
            assert read[number + 1].wait(10)
        ahead.append(sum(event.is_set() for event in read) - number - 1)
        if number == 1:
            may_write.set()
            assert written.wait(10)

    monkeypatch.setattr(restore_files, 'read_picture', reading)
    monkeypatch.setattr(restore_files, 'write_picture', writing)
    pipeline.do = between
    result = run('in', '-o', 'out', *BOTH)
    assert result.stdout == '3 restored\n', result.output
    assert [level(f'out/{name}') for name in ('1.png', 'b c/2.png', 'b c/é日.png')] == [11, 12, 13]
    assert ahead == [1, 1, 0]


def test_failures_are_told_in_order_wherever_they_happen(
    folder: Path, pipeline: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3, 8):
        Image.new('RGB', (20, 12), (number, 0, 0)).save(folder / f'{number}.png')
    (folder / '4.png').write_text('no picture')
    real = picture_file.write_picture

    def writing(out: Path, *given: Any) -> None:
        if out.name in ('3.png', '6.png'):
            time.sleep(0.2)  # the next one fails sooner
            raise PermissionError(13, 'Permission denied')
        real(out, *given)

    def restoring() -> None:
        if len(pipeline.seen) == 2:  # 5.png: 4.png was not even read
            pipeline.seen.append(np.zeros(0))
            raise UserError('cannot be restored')

    monkeypatch.setattr(restore_files, 'write_picture', writing)
    pipeline.do = restoring
    result = run('in', '-o', 'out', *BOTH)
    assert result.exit_code == 1
    told = [line.split(': ')[1] for line in result.stderr.splitlines() if line.startswith('failed')]
    assert told == ['in/3.png', 'in/4.png', 'in/5.png', 'in/6.png']
    assert result.stdout.startswith('4 restored, 4 failed: in/3.png: Permission denied; in/4.png: ')
    assert below('out') == ['1.png', '7.png', 'b c/2.png', 'b c/é日.png']


def test_frames_in_batches_are_those_one_by_one(
    folder: Path, pipeline: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = cv2.VideoWriter('in/v.avi', cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*'XVID'), 10, (64, 48))
    for number in range(5):
        writer.write(np.full((48, 64, 3), 40 * number, np.uint8))
    writer.release()
    monkeypatch.setenv('PATH', '')
    shown: dict[str, list[Pixels]] = {}
    for out in ('one', 'two'):
        if out == 'two':
            pipeline.frames_at_once = lambda height, width: 2  # type: ignore[attr-defined]
        pipeline.seen.clear()
        assert run('in/v.avi', '-o', out, *BOTH, '--compare', '--translated').exit_code == 0
        for name in below(out):
            capture = cv2.VideoCapture(f'{out}/{name}', cv2.CAP_FFMPEG)
            shown[f'{out}/{name}'] = [capture.read()[1] for _ in range(5)]
            assert not capture.read()[0]
            capture.release()
    assert [len(frames) for frames in pipeline.seen] == [2, 2, 2, 2, 48, 48]  # with the direct pass of each
    for name in ('v.avi', 'v_compare.avi', 'v_translated.avi'):
        assert np.array_equal(shown[f'one/{name}'], shown[f'two/{name}'])


@pytest.fixture
def video(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    writer = cv2.VideoWriter('in/v.avi', cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*'XVID'), 10, (64, 48))
    for number in range(4):
        writer.write(np.full((48, 64, 3), 40 * number, np.uint8))
    writer.release()
    monkeypatch.setenv('PATH', '')
    return 'in/v.avi'


def test_writers_are_opened_and_closed_by_the_thread_that_is_there_to_the_end(
    video: str, pipeline: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = video_writer.video_to
    threads: list[threading.Thread] = []

    @contextmanager
    def video_to(*given: Any) -> Iterator[Any]:
        threads.append(threading.current_thread())
        with real(*given) as writer:
            yield writer
        threads.append(threading.current_thread())

    monkeypatch.setattr(restore_files, 'video_to', video_to)
    assert run(video, '-o', 'out', *BOTH, '--compare').exit_code == 0
    assert threads == [threading.main_thread()] * 4


def test_a_video_writer_that_hangs_is_given_up_without_a_part(
    video: str, pipeline: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on = threading.Event(), threading.Event()

    class Writer(VideoWriter):
        def write(self, frame: Pixels) -> None:
            writing.set()
            assert go_on.wait(30)

        def finish(self) -> None:
            raise AssertionError

        def abort(self) -> None:
            go_on.set()  # as the end of ffmpeg ends a write to it

    def stop() -> None:
        if pipeline.seen:
            assert writing.wait(10)
            raise KeyboardInterrupt

    monkeypatch.setattr(in_background, '_PATIENCE', 0.2)
    monkeypatch.setattr(video_writer, '_OpenCVWriter', lambda *_: Writer())
    pipeline.do = stop
    pipeline.asked = {'translator': 'G.pth'}
    with pytest.raises(KeyboardInterrupt):
        restore_files.restore_files(
            [Job(Path(video), Path('out/v.avi'))], pipeline, restore_files.RestoreSettings(), lambda line: None, False
        )
    assert go_on.is_set()
    assert below('out') == []


def test_a_full_disk_is_told_before_another_failure_of_the_video(
    video: str, pipeline: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = threading.Event()

    def full(*_: object) -> None:
        assert failing.wait(10)
        raise OSError(28, 'No space left on device')

    def fail() -> None:
        if pipeline.seen:
            failing.set()
            raise UserError('cannot be restored')

    monkeypatch.setattr(video_writer._OpenCVWriter, 'write', full)
    pipeline.do = fail
    result = run(video, '-o', 'out', *BOTH)
    assert isinstance(result.exception, UserError)
    assert 'the disk is full' in str(result.exception)


def test_a_mistake_leaves_files_alone_that_others_write(
    folder: Path, pipeline: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a program that calls this, and goes on."""

    def full(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(restore_files, 'write_picture', full)
    with whole_file(Path('other/file')) as temporary:
        assert isinstance(run('in', '-o', 'out', *BOTH).exception, UserError)
        assert temporary.exists()
    assert below('other') == ['file']


def test_direct_leaves_the_translator_out(folder: Path, pipeline: StandIn) -> None:
    assert run('in/1.png', '-o', 'out', *BOTH, '--direct').exit_code == 0
    assert pipeline.asked['translator'] is None
    assert level('out/1.png') == 1


def test_translated_and_compared_are_written_beside(folder: Path, pipeline: StandIn) -> None:
    result = run('in/b c', '-o', 'out', *BOTH, '--translated', '--compare')
    assert result.exit_code == 0, result.output
    assert below('out') == [f'{name}{kind}.png' for name in ('2', 'é日') for kind in ('', '_compare', '_translated')]
    assert (level('out/2.png'), level('out/2_translated.png')) == (12, 11)
    shown = np.asarray(Image.open('out/2_compare.png'))
    columns = [int(column) for column in shown[-1, :, 0] if column != 255]
    assert list(dict.fromkeys(columns)) == [1, 2, 11, 12]  # input, direct, translated, restored


def test_without_a_deblurrer_the_panels_are_input_and_translated(
    folder: Path, pipeline: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[list[str]] = []

    def strip(rows: Any) -> Pixels:
        named.append(list(rows[0]))
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr(restore_files, 'strip_picture', strip)
    assert run('in/1.png', '-o', 'out', '--translator', 'G.pth', '--compare').exit_code == 0
    assert run('in/1.png', '-o', 'out', *BOTH, '--compare').exit_code == 0
    assert named == [['input', 'translated'], ['input', 'direct', 'restored']]


def test_help_names_the_overlap_that_is_taken() -> None:
    words = ' '.join(run('--help').output.split())
    assert f'neighbouring tiles share. [default: {DEFAULT_OVERLAP}]' in words


def test_a_missing_input_is_told_before_torch_is_imported(folder: Path) -> None:
    program = (
        'import sys; from b2b_basicsr.commands.cli import b2b; from b2b_basicsr.errors import UserError\n'
        'try: b2b(sys.argv[1:], standalone_mode=False)\n'
        'except UserError as told: print(told, "torch" in sys.modules)'
    )
    command = [sys.executable, '-c', program, 'restore', 'nope.jpg', '-o', 'out', *BOTH]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.stdout.startswith('nope.jpg: no such file or folder'), ended.stderr
    assert ended.stdout.endswith(' False\n')


def test_existing_results_are_left_alone_or_replaced(folder: Path, pipeline: StandIn) -> None:
    (folder.parent / 'out').mkdir()
    (folder.parent / 'out' / '1.png').write_text('mine')
    result = run('in', '-o', 'out', *BOTH, '--skip-existing')
    assert result.stdout == '2 restored, 1 skipped\n'
    assert Path('out/1.png').read_text() == 'mine'
    # what is asked for beside the result is missing, so that the file is not done
    result = run('in', '-o', 'out', *BOTH, '--skip-existing', '--translated')
    assert result.stdout == '3 restored\n'
    assert level('out/1.png') == 11
    assert run('in', '-o', 'out', *BOTH).stdout == '3 restored\n'


def test_bad_files_are_named_counted_and_passed_over(folder: Path, pipeline: StandIn) -> None:
    (folder / '0.jpg').write_bytes(b'\xff\xd8\xff no picture')
    (folder / '9.mp4').write_bytes(b'\0' * 100)
    (folder / 'notes.txt').touch()
    result = run('in', '-o', 'out', *BOTH)
    assert result.exit_code == 1
    assert result.stdout.startswith('3 restored, 2 failed: in/0.jpg: cannot be read as a picture')
    assert 'in/9.mp4: ' in result.stdout
    assert result.stdout.count('\n') == 1
    assert 'failed: in/0.jpg: ' in result.stderr
    assert '1 file of other kinds left out: .txt' in result.stderr
    assert below('out') == ['1.png', 'b c/2.png', 'b c/é日.png']


def test_a_bug_costs_one_file_and_is_told_as_one(folder: Path, pipeline: StandIn) -> None:
    def fail() -> None:
        if not pipeline.seen:
            pipeline.seen.append(np.zeros(0))
            raise KeyError('a bug')

    pipeline.do = fail
    result = run('in', '-o', 'out', *BOTH)
    assert result.exit_code == 1
    assert "2 restored, 1 failed: in/1.png: KeyError: 'a bug'; please report this" in result.stdout
    assert 'Traceback' in result.stderr


def test_a_full_disk_ends_the_run_in_one_line(folder: Path, pipeline: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(restore_files, 'write_picture', full)
    result = run('in', '-o', 'out', *BOTH)
    assert isinstance(result.exception, UserError)
    assert 'the disk is full' in str(result.exception)


def test_a_video_becomes_a_video(folder: Path, pipeline: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = cv2.VideoWriter('in/v.mp4', cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*'mp4v'), 10, (64, 48))
    for _ in range(5):
        writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()
    monkeypatch.setenv('PATH', '')
    result = run('in/v.mp4', '-o', 'out', *BOTH, '--translated', '--compare')
    assert result.exit_code == 0, result.output
    assert 'ffmpeg and ffprobe are not there' in result.stderr
    assert below('out') == ['v.mp4', 'v_compare.mp4', 'v_translated.mp4']
    means = {}
    for name in below('out'):
        capture = cv2.VideoCapture(f'out/{name}', cv2.CAP_FFMPEG)
        assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 5
        means[name] = capture.read()[1].mean()
        capture.release()
    assert means['v.mp4'] == pytest.approx(101, abs=8)
    assert means['v_translated.mp4'] == pytest.approx(100, abs=8)


@pytest.mark.parametrize(
    ('arguments', 'told'),
    [
        (['nowhere', *BOTH], 'nowhere: no such file or folder'),
        (['in', '--deblurrer', 'D.pth'], '--translator is missing'),
        (['in', '--translator', 'G.pth', '--direct'], 'give --deblurrer'),
        (['in', *BOTH, '--direct', '--translated'], 'nothing is translated'),
        (['in', '--translator', 'G.pth', '--translated'], 'without --deblurrer'),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_made(
    folder: Path, pipeline: StandIn, arguments: list[str], told: str
) -> None:
    result = run(*arguments, '-o', 'out')
    assert isinstance(result.exception, UserError)
    assert told in str(result.exception)
    assert '\n' not in str(result.exception)
    assert not Path('out').exists()


def test_a_wrong_tile_and_a_missing_checkpoint_are_told(folder: Path) -> None:
    result = run('in', '-o', 'out', *BOTH, '--tile', 'big')
    assert result.exit_code == 2
    assert "'big': give a number of pixels" in result.output
    result = run('in', '-o', 'out', *BOTH)
    assert isinstance(result.exception, UserError)
    assert 'G.pth' in str(result.exception)
    assert not Path('out').exists()


def test_the_share_of_one_process_is_of_all_files_whatever_is_done(
    folder: Path, pipeline: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('WORLD_SIZE', '2')
    for rank, expected in ((0, '2 restored\n'), (1, '1 restored\n')):
        monkeypatch.setenv('RANK', str(rank))
        result = run('in', '-o', 'in/out', *BOTH, '--skip-existing')  # no address to meet at: each tells its own
        assert result.stdout == f'process {rank + 1} of 2: {expected}'
    assert below('in/out') == ['1.png', 'b c/2.png', 'b c/é日.png']


def test_one_that_is_alone_waits_for_nobody() -> None:
    assert Meeting.join(Share()).exchange([1, 2]) == [[1, 2]]


def checkpoint(path: Path) -> Path:
    torch.manual_seed(0)
    torch.save({'params': NAFNet(width=8, enc_blk_nums=[1], dec_blk_nums=[1]).state_dict()}, path)
    return path


@pytest.mark.slow
def test_torchrun_shares_the_files_and_one_that_fails_does_not_end_the_others(folder: Path) -> None:
    for place in range(5):  # of which the second process has p1 and p3: it takes longer than the first, which fails
        side = 1000 if place % 2 else 16
        Image.new('RGB', (side, side)).save(folder / f'p{place}.png')
    (folder / '0.png').write_text('no picture')
    deblurrer = checkpoint(folder.parent / 'D.pth')
    torchrun = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2']
    command = ['-m', 'b2b_basicsr', 'restore', 'in', '-o', 'out', '--direct', '--deblurrer', str(deblurrer)]
    ended = subprocess.run([*torchrun, *command, '--device', 'cpu'], capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    assert ended.stdout.startswith('8 restored, 1 failed: in/0.png: '), ended.stdout + ended.stderr
    assert ended.stdout.count('restored') == 1
    assert '-15' not in ended.stderr  # none was killed while it ended
    assert 'process 1 of 2: 5 of 9 files' in ended.stderr
    assert 'process 2 of 2: 4 of 9 files' in ended.stderr
    assert below('out') == [name for name in below('in') if name != '0.png']


@pytest.mark.skipif(os.name != 'posix', reason='signals of POSIX')
def test_sigterm_ends_it_in_one_line_and_leaves_no_part(folder: Path) -> None:
    program = (
        'import sys, time; from b2b_basicsr.restore.pipeline import Blur2BlurPipeline as P; '
        'from b2b_basicsr.restore import picture_file as f; '
        'P.from_files = classmethod(lambda cls, **_: lambda picture, **_: picture); '
        'f._saved = lambda save, out: (save(), print("half", flush=True), time.sleep(60)); '
        'from b2b_basicsr.commands.cli import main; sys.argv[0] = "b2b"; main()'
    )
    command = ['restore', 'in', '-o', 'out', '--direct', '--deblurrer', 'D.pth']
    process = subprocess.Popen(
        [sys.executable, '-c', program, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == 'half\n'
    assert len(below('out')) == 1
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=30)
    assert time.monotonic() - started < 20
    assert process.returncode == 130
    assert error.splitlines()[-1] == 'stopped'
    assert below('out') == []
