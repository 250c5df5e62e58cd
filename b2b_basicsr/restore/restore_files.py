"""Files restored one after the other; a bad one is told and passed over.

While the networks work on one, the next is read and the last is written.
"""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from b2b_basicsr.errors import UserError
from b2b_basicsr.models.strip_picture import strip_picture
from b2b_basicsr.prepare.write_errors import cannot_write
from b2b_basicsr.printable import printable
from b2b_basicsr.restore.in_background import Patience, ReadAhead, WriteBehind, wait_for, wait_until_done
from b2b_basicsr.restore.inputs import Job
from b2b_basicsr.restore.picture_file import (
    DEFAULT_QUALITY,
    PictureFile,
    Samples,
    as_8_bits,
    read_picture,
    write_picture,
    write_png,
)
from b2b_basicsr.restore.video_source import Frame, VideoSource
from b2b_basicsr.restore.video_writer import VideoWriter, video_to
from b2b_basicsr.whole_file import remove_unfinished

Pipeline = Callable[..., Any]
"""Called as a :class:`~b2b_basicsr.restore.pipeline.Blur2BlurPipeline` is, on uint8 or uint16 [h, w, 3]; on several
frames of a video at once, [n, h, w, 3], if it has ``frames_at_once``."""

_NO_USE_TO_GO_ON = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_NAMES_IN_SUMMARY = 5


@dataclass(frozen=True)
class RestoreSettings:
    """What is done with each file.

    Args:
        direct: the deblurrer alone, without translation.
        translated: write the translated picture, too.
        compared: write a picture with all side by side, too.
        translate_only: without a deblurrer, so that the result is the translated picture.
        with_direct: whether that shows the picture that was deblurred without translation, which takes another pass.
        skip_existing: leave files alone whose results are there.
        quality: of JPEG and lossy WebP, in percent.
    """

    direct: bool = False
    translated: bool = False
    compared: bool = False
    translate_only: bool = False
    with_direct: bool = False
    skip_existing: bool = False
    quality: int = DEFAULT_QUALITY


@dataclass
class Outcome:
    """What became of the files.

    Args:
        restored: how many were.
        skipped: how many were left alone, as their results were there.
        failed: what could not be restored: pairs of its name and why.
    """

    restored: int = 0
    skipped: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Counts what became of other files as well."""
        self.restored += other.restored
        self.skipped += other.skipped
        self.failed += other.failed

    def __str__(self) -> str:
        parts = [f'{self.restored} restored']
        if self.skipped:
            parts.append(f'{self.skipped} skipped')
        if self.failed:
            named = [f'{name}: {why}' for name, why in self.failed[:_NAMES_IN_SUMMARY]]
            more = len(self.failed) - len(named)
            parts.append(f'{len(self.failed)} failed: {"; ".join(named)}{f"; and {more} more" if more else ""}')
        return ', '.join(parts)


def restore_files(
    jobs: Sequence[Job],
    pipeline: Pipeline,
    settings: RestoreSettings,
    say: Callable[[str], None],
    show_bar: bool = True,
) -> Outcome:
    """Restores files in their order.

    One picture, or one batch of a video's frames, is read ahead at most, and one is written behind.

    Args:
        jobs: the files.
        pipeline: what restores a picture.
        settings: what is wanted.
        say: takes a line on what failed, or what the user should know.
        show_bar: whether to show progress.

    Raises:
        UserError: if the disk is full or read-only, where no other file would fare better.
    """
    patience = Patience()
    behind = WriteBehind(patience=patience)
    try:
        with (
            tqdm(total=len(jobs), desc='restore', unit='file', disable=not show_bar) as bar,
            behind,
            ReadAhead(_read_each(jobs, settings), patience=patience) as inputs,
        ):
            tally = _Tally(say, bar)
            writing = _Writing(behind, tally)
            for one in inputs:
                if one.is_done:
                    tally.skipped()
                elif one.job.is_video:
                    writing.settle()
                    with tally.failing(one.job):
                        tally.restored(one.job, _restore_video(one.job, pipeline, settings, show_bar, patience))
                    patience.renew()  # whatever became of it: the next stop is another
                else:
                    write: Callable[[], object] | None = None
                    with tally.failing(one.job, writing.settle):
                        write = _restore_picture(one, pipeline, settings, show_bar)
                    if write is not None:
                        writing.begin(one.job, write)
                    del write  # else the result would stay until the next one is there
            writing.settle()
            return tally.outcome
    except BaseException:
        writer = behind.still_at_work  # it has not ended in time
        if writer is not None:
            remove_unfinished(writer)
        raise


class _Tally:
    """Counts and tells what becomes of the files, in their order."""

    def __init__(self, say: Callable[[str], None], bar: tqdm[NoReturn]) -> None:
        self.outcome = Outcome()
        self._say = say
        self._bar = bar

    def skipped(self) -> None:
        self.outcome.skipped += 1
        self._bar.update()

    def restored(self, job: Job, notes: Sequence[str] = ()) -> None:
        self.outcome.restored += 1
        for note in notes:
            self._say(f'{printable(str(job.source))}: {note}')
        self._bar.update()

    @contextmanager
    def failing(self, job: Job, before: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Counts the job as failed, and tells why, if the block fails.

        Args:
            job: at work.
            before: called before that is told.

        Raises:
            UserError: if other jobs would not fare better.
        """
        try:
            yield
        except Exception as cause:
            before()
            if isinstance(cause, OSError) and cause.errno in _NO_USE_TO_GO_ON:
                raise UserError(f'{cannot_write(job.result, cause)}; {self.outcome} before that') from cause
            name, why = printable(str(job.source)), _why(cause)
            if why is None:
                # Our own bug, or a library's; the other files, perhaps a night's work, need not suffer from it.
                self._say(''.join(traceback.format_exception(cause)))
                why = f'{type(cause).__name__}: {cause}; please report this'
            self.outcome.failed.append((name, printable(why)))
            self._say(f'failed: {name}: {printable(why)}')
            self._bar.update()


class _Writing:
    """The one picture that is being written while the next is restored."""

    def __init__(self, behind: WriteBehind, tally: _Tally) -> None:
        self._behind = behind
        self._tally = tally
        self._job: Job | None = None
        self._done: Future[None] | None = None

    def begin(self, job: Job, write: Callable[[], object]) -> None:
        """Writes a picture, after the last one has been written."""
        self.settle()
        self._job, self._done = job, self._behind.do(write)

    def settle(self) -> None:
        """Waits for the picture that is being written, and counts it."""
        job, done = self._job, self._done
        self._job = self._done = None
        if job is not None and done is not None:
            with self._tally.failing(job):
                wait_for(done)
                self._tally.restored(job)


@dataclass(frozen=True)
class _Input:
    """A job; of a picture that is to be restored, its content, or why that cannot be read."""

    job: Job
    is_done: bool = False
    picture: PictureFile | None = None
    failure: Exception | None = None


def _read_each(jobs: Sequence[Job], settings: RestoreSettings) -> Iterator[_Input]:
    for job in jobs:
        try:
            if settings.skip_existing and _is_done(job, settings):
                yield _Input(job, is_done=True)
            elif job.is_video:
                yield _Input(job)
            else:
                yield _Input(job, picture=read_picture(job.source))
        except Exception as cause:
            yield _Input(job, failure=cause)


def _why(cause: Exception) -> str | None:
    """What is wrong with the file, or with the machine for this file; ``None``: it is a bug."""
    if isinstance(cause, UserError):
        return str(cause)
    if isinstance(cause, OSError):
        return f'{cause.strerror or cause}{f" ({cause.filename})" if cause.filename else ""}'
    if isinstance(cause, MemoryError) or (isinstance(cause, RuntimeError) and 'out of memory' in str(cause).lower()):
        return 'out of memory; give a smaller --tile'
    if isinstance(cause, UnicodeEncodeError):
        return 'its name is not valid in the coding of the file system; rename it'
    if isinstance(cause, cv2.error):
        return f'OpenCV: {cause}'
    return None


def _is_done(job: Job, settings: RestoreSettings) -> bool:
    return all(output.is_file() for output in job.outputs(settings.translated, settings.compared))


@dataclass(frozen=True)
class _Restored:
    """uint8 or uint16, all [h, w, 3] or all [n, h, w, 3]; the source only where it is compared."""

    source: Samples | None
    direct: Samples | None
    translated: Samples | None
    result: Samples

    def frames(self) -> Iterator[_Restored]:
        """Of [n, h, w, 3], each by itself."""
        for place, result in enumerate(self.result):
            source, direct, translated = (
                None if one is None else one[place] for one in (self.source, self.direct, self.translated)
            )
            yield _Restored(source, direct, translated, result)

    def files(self, job: Job, settings: RestoreSettings) -> dict[Path, NDArray[np.uint8]]:
        """Of one frame, what goes where, the result last."""
        found = {}
        if self.translated is not None:
            found[job.translated] = as_8_bits(self.translated)
        if settings.compared:
            found[job.compared] = self.side_by_side(settings)
        return found | {job.result: as_8_bits(self.result)}

    def side_by_side(self, settings: RestoreSettings) -> NDArray[np.uint8]:
        """All of it in one picture."""
        last = 'direct' if settings.direct else 'translated' if settings.translate_only else 'restored'
        columns = {'input': self.source, 'direct': self.direct, 'translated': self.translated}
        there = {name: as_8_bits(one) for name, one in columns.items() if one is not None}
        return strip_picture([there | {last: as_8_bits(self.result)}])


def _apply(rgb: Samples, pipeline: Pipeline, settings: RestoreSettings) -> _Restored:
    translated = None
    if settings.direct:
        result = pipeline(rgb, translate=False)
    elif settings.translated:
        result, translated = pipeline(rgb, return_translated=True)
    else:
        result = pipeline(rgb)
    direct = pipeline(rgb, translate=False) if settings.compared and settings.with_direct else None
    return _Restored(rgb if settings.compared else None, direct, translated, result)


def _restore_picture(
    one: _Input, pipeline: Pipeline, settings: RestoreSettings, show_bar: bool
) -> Callable[[], object]:
    """What writes the restored picture."""
    if one.failure is not None:
        raise one.failure
    job, picture = one.job, one.picture
    assert picture is not None
    name = printable(job.source.name)

    def with_bar(rgb: Samples, **how: bool) -> Any:
        bar = tqdm(total=len(rgb), desc=name, unit='row', delay=2, leave=False, disable=not show_bar)
        with bar:
            return pipeline(rgb, progress=lambda rows: bar.update(rows - bar.n), **how)

    restored = _apply(picture.rgb(), with_bar, settings)

    def write() -> None:
        if restored.translated is not None:
            write_picture(job.translated, picture.with_rgb(restored.translated), picture, settings.quality)
        if settings.compared:
            write_png(job.compared, restored.side_by_side(settings))
        write_picture(job.result, picture.with_rgb(restored.result), picture, settings.quality)

    return write


def _restore_video(
    job: Job, pipeline: Pipeline, settings: RestoreSettings, show_bar: bool, patience: Patience
) -> Sequence[str]:
    source = VideoSource(job.source)
    at_once: Callable[[int, int], int] = getattr(pipeline, 'frames_at_once', lambda height, width: 1)
    with ExitStack() as opened:
        writers: dict[Path, VideoWriter] = {}

        def write_all(frames: _Restored) -> None:
            for frame in frames.frames():
                for out, picture in frame.files(job, settings).items():
                    writers[out].write(picture)

        batches = _batches(source.frames(), at_once(source.facts.height, source.facts.width))
        # Writers are opened and closed by this thread: the other may still be in a call when it is given up.
        with (
            _frame_bar(source, show_bar) as bar,
            WriteBehind(patience=patience) as behind,
            ReadAhead(batches, patience=patience) as frames,
        ):
            written: Future[None] | None = None
            try:
                for several in frames:
                    restored = _restored_frames(several, pipeline, settings)
                    if written is None:
                        for out, picture in next(restored.frames()).files(job, settings).items():
                            height, width = picture.shape[:2]
                            writers[out] = opened.enter_context(video_to(out, width, height, source))
                    else:
                        wait_for(written)
                    written = behind.do(partial(write_all, restored))
                    bar.update(len(several))
                    del restored, several
            except Exception:
                _raise_disk_error_of(written)
                raise
            if written is not None:
                wait_for(written)
        left_out = writers[job.result].left_out
        return [*source.notes, *([f'written without {left_out}'] if left_out else [])]


def _raise_disk_error_of(written: Future[None] | None) -> None:
    """What the disk says concerns the other files, too, so it goes before what else has failed meanwhile."""
    if written is not None:
        wait_until_done(written)
        if isinstance(failure := written.exception(), OSError):
            raise failure


def _restored_frames(frames: list[Frame], pipeline: Pipeline, settings: RestoreSettings) -> _Restored:
    if len(frames) > 1:
        return _apply(np.stack(frames), pipeline, settings)
    one = _apply(frames[0], pipeline, settings)
    source, direct, translated = (
        None if array is None else array[None] for array in (one.source, one.direct, one.translated)
    )
    return _Restored(source, direct, translated, one.result[None])


def _batches(frames: Iterator[Frame], size: int) -> Iterator[list[Frame]]:
    with closing(frames):  # type: ignore[type-var]
        while several := list(islice(frames, size)):
            yield several


def _frame_bar(source: VideoSource, show_bar: bool) -> tqdm[NoReturn]:
    return tqdm(
        desc=printable(source.path.name),
        unit='frame',
        total=source.facts.announced or None,
        leave=False,
        disable=not show_bar,
    )
