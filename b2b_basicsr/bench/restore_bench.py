"""What restoring costs: MIMO-UNet before NAFNet in several forms.

The weights are random: time and memory do not depend on them.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from b2b_basicsr.archs.mimounet_arch import MIMOUNet
from b2b_basicsr.archs.nafnet_local_arch import NAFNetLocal
from b2b_basicsr.bench.plain_restore import PlainRestorer, restore_pictures_in_turn, restore_video_in_turn
from b2b_basicsr.bench.timing_table import Table, Value
from b2b_basicsr.bench.turns import Form, Measured, Turn, run_in_turns
from b2b_basicsr.errors import UserError
from b2b_basicsr.restore.inputs import Job
from b2b_basicsr.restore.pipeline import Blur2BlurPipeline
from b2b_basicsr.restore.restore_files import RestoreSettings, restore_files

PLAIN = 'plain'
FORMS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    'tf32': {},
    'fp32': {},
    'fp32-tf32': {},
    'fp32-compile': {'compile': True},
    'bf16': {'precision': 'bf16'},
    'bf16-compile': {'precision': 'bf16', 'compile': True},
    'fp16': {'precision': 'fp16'},
    'fp16-compile': {'precision': 'fp16', 'compile': True},
}
"""Name -> the arguments of the pipeline that make it; ``plain`` and ``tf32`` are :mod:`plain_restore`'s."""

PARTS = ('pictures', 'files', 'video')

_PLAIN_FORMS = (PLAIN, 'tf32')
_WITH_TF32 = ('tf32', 'fp32-tf32')
_VIDEO = (720, 1280)
_FILES = 4
_SECONDS_A_TURN_ON_GPU = 0.5
_NAFNET: dict[str, Any] = {'enc_blk_nums': [1, 1, 1, 28], 'middle_blk_num': 1, 'dec_blk_nums': [1, 1, 1, 1]}


@dataclass(frozen=True)
class Chosen:
    """What is measured where the user does not say."""

    forms: tuple[str, ...]
    sizes: tuple[float, ...]
    parts: tuple[str, ...]
    frames: int


DEFAULTS = {
    'cpu': Chosen((PLAIN, 'fp32', 'bf16'), (0.9,), ('pictures',), 4),
    'cuda': Chosen((PLAIN, 'tf32', 'fp32', 'bf16', 'fp16'), (0.9, 8, 48), ('pictures', 'video'), 48),
}
"""By device: what fits into ten minutes."""


@dataclass(frozen=True)
class RestoreBench:
    """What is measured.

    Args:
        forms: names of :data:`FORMS`.
        sizes: of the pictures, in megapixels.
        widths: of NAFNet.
        parts: of :data:`PARTS`: ``pictures`` in memory; ``files``, JPEG to JPEG; ``video``, of 720p, from file to file.
        frames: of the video.
        device: ``'cpu'`` or ``'cuda'``.
        tiny: narrow networks and a small video, to try the command out.
    """

    forms: tuple[str, ...]
    sizes: tuple[float, ...] = (0.9,)
    widths: tuple[int, ...] = (32,)
    parts: tuple[str, ...] = ('pictures',)
    frames: int = 4
    device: str = 'cpu'
    tiny: bool = False

    def __post_init__(self) -> None:
        for option, given, known in (('--forms', self.forms, tuple(FORMS)), ('--parts', self.parts, PARTS)):
            for name in given:
                if name not in known:
                    raise UserError(f'{option}: {name!r} is unknown; known are {", ".join(known)}')
        if not all(0 < size < 1000 for size in self.sizes):
            raise UserError('--sizes: give megapixels, above 0 and below 1000')

    def measure(self, rounds: int, say: Callable[[str], None], progress: bool = True) -> Iterator[Table]:
        """Runs the forms in turn.

        Args:
            rounds: that are timed.
            say: takes a line on what comes next, and on the CPU how long it may take.
            progress: show bars.

        Yields:
            A table for each part, width of NAFNet, and size of the pictures, as soon as it is measured.
        """
        # Compiled is what comes a second time; on a GPU that is within the first turn.
        warmup = 2 if self.device == 'cpu' and any(FORMS[name].get('compile') for name in self.forms) else 1
        with tempfile.TemporaryDirectory() as folder:
            for width in self.widths:
                # Of a GPU it would need a large picture, and its memory in this process.
                second = None if self.device == 'cuda' else self._seconds_of_a_pixel(width)
                for what in self._runs(Path(folder)):
                    turns = len(self.forms) * (warmup + rounds)
                    line = f'{what.caption}, NAFNet width {width}: {turns} turns'
                    if second is not None:
                        minutes = second * what.megapixels * 1e6 * turns / 60
                        line += f'; plain alone would take {minutes:.1f} min'
                    say(line)
                    forms = [Form(name, what.start, (name, width, self, *what.arguments)) for name in self.forms]
                    found = run_in_turns(forms, rounds, warmup, progress)
                    yield self._table(what, width, found)

    def _seconds_of_a_pixel(self, width: int) -> float:
        """Of plain restoring, roughly: for what is said beforehand alone."""
        restore = PlainRestorer(*networks(width, self.tiny), self.device)
        picture = _pictures(1, 256, 256)[0]
        restore(picture)
        start = time.perf_counter()
        restore(picture)
        return (time.perf_counter() - start) / 256**2

    def _runs(self, folder: Path) -> list[_Run]:
        runs = []
        for part in self.parts:
            if part == 'video':
                height, width = (64, 96) if self.tiny else _VIDEO
                source = _write_video(folder / 'in.mp4', self.frames, height, width)
                megapixels = self.frames * height * width / 1e6
                caption = f'A video of {self.frames} frames, {width} x {height}, from file to file'
                runs.append(_Run(caption, megapixels, self.frames, start_video, (source,)))
                continue
            for size in self.sizes:
                height, width = sides(size)
                megapixels = height * width / 1e6
                caption = f'{width} x {height}, {megapixels:.3g} megapixels'
                if part == 'pictures':
                    runs.append(_Run(f'A picture of {caption}', megapixels, 1, start_picture, (height, width)))
                else:
                    sources = _write_pictures(folder / f'in_{size}', height, width)
                    caption = f'{_FILES} JPEG files of {caption} each, from file to file'
                    runs.append(_Run(caption, _FILES * megapixels, _FILES, start_files, (sources,)))
        return runs

    def _table(self, what: _Run, width: int, measured: Sequence[Measured]) -> Table:
        plain = next((found for found in measured if found.name == PLAIN), None)
        rows: list[dict[str, Value]] = []
        for found in measured:
            row: dict[str, Value] = {
                'form': found.name,
                's': found.median,
                'spread %': 100 * found.spread,
                'x plain': None if plain is None else found.times_faster_than(plain),
                'megapixels/s': what.megapixels / found.median,
                'frames/s' if what.start is start_video else 'pictures/s': what.pictures / found.median,
                'peak GB': None if found.peak_bytes is None else found.peak_bytes / 1e9,
            }
            rows.append(row if found.failure is None else {'form': f'{found.name}: {found.failure}'})
        names = 'narrow networks' if self.tiny else f'MIMO-UNet before NAFNet of width {width}'
        return Table(f'{what.caption}: {names}, random weights, {self.device}', rows)


@dataclass(frozen=True)
class _Run:
    """What the forms do in one table."""

    caption: str
    megapixels: float
    pictures: int
    start: Callable[..., Turn]
    arguments: tuple[Any, ...]


def sides(megapixels: float) -> tuple[int, int]:
    """Height and width of a picture: 720p where it is 0.9, else 2 : 3.

    Example:
        >>> sides(0.9), sides(8), sides(48)
        ((720, 1280), (2304, 3456), (5664, 8496))
    """
    if megapixels == 0.9:
        return _VIDEO
    height = max(1, round(math.sqrt(megapixels * 1e6 / 1.5) / 48)) * 48
    return height, height * 3 // 2


def networks(width: int, tiny: bool) -> tuple[MIMOUNet, nn.Module]:
    """Translator and deblurrer of the published sizes, or narrow ones."""
    torch.manual_seed(0)
    if tiny:
        return MIMOUNet(num_res=1, base_channel=4), NAFNetLocal(width=4, enc_blk_nums=[1], dec_blk_nums=[1])
    return MIMOUNet(), NAFNetLocal(width=width, **_NAFNET)


def start_picture(form: str, width: int, bench: RestoreBench, *shape: int) -> Turn:
    """A picture in memory, restored."""
    restore = _restorer(form, width, bench)
    picture = _pictures(1, *shape)[0]
    return _turn(lambda: restore(picture), bench)


def start_files(form: str, width: int, bench: RestoreBench, sources: list[Path]) -> Turn:
    """JPEG files, restored to JPEG files."""
    restore = _restorer(form, width, bench)
    jobs = [Job(source, source.parent / form / source.name) for source in sources]
    if isinstance(restore, PlainRestorer):
        return _turn(lambda: restore_pictures_in_turn(jobs, restore), bench)
    return _turn(lambda: _restored(jobs, restore), bench)


def start_video(form: str, width: int, bench: RestoreBench, source: Path) -> Turn:
    """A video file, restored to a video file."""
    restore = _restorer(form, width, bench)
    job = Job(source, source.parent / form / source.name)
    if isinstance(restore, PlainRestorer):
        return _turn(lambda: restore_video_in_turn(job, restore), bench)
    return _turn(lambda: _restored([job], restore), bench)


def _turn(restore: Callable[[], object], bench: RestoreBench) -> Turn:
    """A form's turn: on the CPU once; on a GPU once for nothing, then as often as makes the time worth measuring."""

    def on_gpu() -> float:
        # Between turns the memory is the others', and the first run takes it anew.
        restore()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        start, runs = time.perf_counter(), 0
        while (seconds := time.perf_counter() - start) < _SECONDS_A_TURN_ON_GPU:
            restore()
            torch.cuda.synchronize()
            runs += 1
        return seconds / runs

    def on_cpu() -> None:
        restore()

    return on_gpu if bench.device == 'cuda' else on_cpu


def _restored(jobs: list[Job], pipeline: Blur2BlurPipeline) -> None:
    outcome = restore_files(jobs, pipeline, RestoreSettings(), lambda line: None, show_bar=False)
    if outcome.failed:
        raise RuntimeError(str(outcome))


def _restorer(form: str, width: int, bench: RestoreBench) -> Any:
    # off for all but the forms that say so, else plain fp32 would not be what its name says
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = form in _WITH_TF32
    translator, deblurrer = networks(width, bench.tiny)
    if form in _PLAIN_FORMS:
        return PlainRestorer(translator, deblurrer, bench.device)
    return Blur2BlurPipeline(translator, deblurrer, bench.device, **FORMS[form])


def _pictures(count: int, height: int, width: int) -> list[NDArray[np.uint8]]:
    """Views of one smooth random field that moves, with a little noise: neither flat nor noise alone for an encoder."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 8 + 2, (width + 2 * count) // 8 + 2, 3), np.uint8)
    field = cv2.resize(coarse, (width + 2 * count, height), interpolation=cv2.INTER_CUBIC)
    field = cv2.add(field, rng.integers(0, 6, field.shape, np.uint8))
    return [np.ascontiguousarray(field[:, 2 * place : 2 * place + width]) for place in range(count)]


def _write_pictures(folder: Path, height: int, width: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f'{place}.jpg' for place in range(_FILES)]
    if not paths[-1].exists():
        for path, picture in zip(paths, _pictures(_FILES, height, width), strict=True):
            Image.fromarray(picture).save(path, quality=95)
    return paths


def _write_video(path: Path, frames: int, height: int, width: int) -> Path:
    if not path.exists():
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*'mp4v'), 24, (width, height))
        if not writer.isOpened():
            raise UserError(f'{path.name}: OpenCV cannot write a video here; leave the part video out')
        for picture in _pictures(frames, height, width):
            writer.write(picture)
        writer.release()
    return path
