"""Files restored one after the other; a bad one is told and passed over."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from b2b_basicsr.errors import UserError
from b2b_basicsr.models.strip_picture import strip_picture
from b2b_basicsr.prepare.write_errors import cannot_write
from b2b_basicsr.restore.inputs import Job
from b2b_basicsr.restore.picture_file import (
    DEFAULT_QUALITY,
    Samples,
    as_8_bits,
    read_picture,
    write_picture,
    write_png,
)
from b2b_basicsr.restore.video_source import VideoSource
from b2b_basicsr.restore.video_writer import VideoWriter, video_to

Pipeline = Callable[..., Any]
"""Called as a :class:`~b2b_basicsr.restore.pipeline.Blur2BlurPipeline` is, on uint8 or uint16 [h, w, 3]."""

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

    Args:
        jobs: the files.
        pipeline: what restores a picture.
        settings: what is wanted.
        say: takes a line on what failed, or what the user should know.
        show_bar: whether to show progress.

    Raises:
        UserError: if the disk is full or read-only, where no other file would fare better.
    """
    outcome = Outcome()
    for job in tqdm(jobs, desc='restore', unit='file', disable=not show_bar):
        name = printable(str(job.source))
        if settings.skip_existing and _is_done(job, settings):
            outcome.skipped += 1
            continue
        try:
            notes = _restore_video(job, pipeline, settings, show_bar) if job.is_video else ()
            if not job.is_video:
                _restore_picture(job, pipeline, settings, show_bar)
        except Exception as cause:
            if isinstance(cause, OSError) and cause.errno in _NO_USE_TO_GO_ON:
                raise UserError(f'{cannot_write(job.result, cause)}; {outcome} before that') from cause
            why = _why(cause)
            if why is None:
                # Our own bug, or a library's; the other files, perhaps a night's work, need not suffer from it.
                say(''.join(traceback.format_exception(cause)))
                why = f'{type(cause).__name__}: {cause}; please report this'
            outcome.failed.append((name, printable(why)))
            say(f'failed: {name}: {printable(why)}')
        else:
            outcome.restored += 1
            for note in notes:
                say(f'{name}: {note}')
    return outcome


def printable(text: str) -> str:
    """One line that any terminal can show, whatever stands in a file's name."""
    text = text.encode('utf-8', 'backslashreplace').decode('utf-8')
    return ''.join(character if character.isprintable() else repr(character)[1:-1] for character in text)


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
    """uint8 or uint16 [h, w, 3] each."""

    result: Samples
    translated: Samples | None
    shown: Samples | NDArray[np.uint8] | None


def _apply(rgb: Samples, pipeline: Pipeline, settings: RestoreSettings) -> _Restored:
    translated = None
    if settings.direct:
        result = pipeline(rgb, translate=False)
    elif settings.translated:
        result, translated = pipeline(rgb, return_translated=True)
    else:
        result = pipeline(rgb)
    if not settings.compared:
        return _Restored(result, translated, None)
    columns = {'input': rgb}
    if settings.with_direct:
        columns['direct'] = pipeline(rgb, translate=False)
    if translated is not None:
        columns['translated'] = translated
    columns['direct' if settings.direct else 'translated' if settings.translate_only else 'restored'] = result
    return _Restored(result, translated, strip_picture([{name: as_8_bits(one) for name, one in columns.items()}]))


def _restore_picture(job: Job, pipeline: Pipeline, settings: RestoreSettings, show_bar: bool) -> None:
    name = printable(job.source.name)

    def with_bar(rgb: Samples, **how: bool) -> Any:
        bar = tqdm(total=len(rgb), desc=name, unit='row', delay=2, leave=False, disable=not show_bar)
        with bar:
            return pipeline(rgb, progress=lambda rows: bar.update(rows - bar.n), **how)

    picture = read_picture(job.source)
    restored = _apply(picture.rgb(), with_bar, settings)
    if restored.translated is not None:
        write_picture(job.translated, picture.with_rgb(restored.translated), picture, settings.quality)
    if restored.shown is not None:
        write_png(job.compared, restored.shown)
    write_picture(job.result, picture.with_rgb(restored.result), picture, settings.quality)


def _restore_video(job: Job, pipeline: Pipeline, settings: RestoreSettings, show_bar: bool) -> Sequence[str]:
    source = VideoSource(job.source)
    with ExitStack() as opened:
        writers: dict[str, VideoWriter] = {}

        def write(kind: str, frame: Samples | NDArray[np.uint8] | None) -> None:
            if frame is None:
                return
            if kind not in writers:  # opened by the first frame, whose size it has
                out = {'result': job.result, 'translated': job.translated, 'compared': job.compared}[kind]
                writers[kind] = opened.enter_context(video_to(out, frame.shape[1], frame.shape[0], source))
            writers[kind].write(as_8_bits(frame))

        for frame in _with_bar(source, show_bar):
            restored = _apply(frame, pipeline, settings)
            write('result', restored.result)
            write('translated', restored.translated)
            write('compared', restored.shown)
        left_out = writers['result'].left_out
        return [*source.notes, *([f'written without {left_out}'] if left_out else [])]


def _with_bar(source: VideoSource, show_bar: bool) -> Iterator[NDArray[np.uint8]]:
    yield from tqdm(
        source.frames(),
        desc=printable(source.path.name),
        unit='frame',
        total=source.facts.announced or None,
        leave=False,
        disable=not show_bar,
    )
