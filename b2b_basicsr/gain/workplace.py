"""The folder of `b2b bench gain`: which stages are done in it, and how they are."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from b2b_basicsr import __version__
from b2b_basicsr.bench.machine import machine_facts
from b2b_basicsr.errors import UserError
from b2b_basicsr.gain.stage_lock import stage_lock
from b2b_basicsr.gain.stages import PictureSets, PipelineRun, Stage
from b2b_basicsr.prepare.write_errors import cannot_write
from b2b_basicsr.stage_process import run_stage
from b2b_basicsr.whole_file import whole_file

State = Literal['absent', 'changed', 'unfinished', 'done']
"""Nothing there; made by other options, or of other pictures; begun; done."""

_RECORD = 'stage.json'

_OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Record:
    """How a stage was done.

    Args:
        seconds: in all, those of interrupted runs included; ``None`` where a killed run has taken that with it.
        machine: what it ran on, with versions and date.
        done: whether it came to its end.
        ended: when it came to its end or was stopped: ISO 8601, in UTC.
    """

    seconds: float | None = None
    machine: dict[str, str] = field(default_factory=dict)
    done: bool = True
    ended: str = ''


class Workplace:
    """The folder, by the stages in it.

    A stage is done if what it makes is there, made by the same options of the same pictures. Of what was made by
    others, nothing is removed: it is moved to ``NAME_archived_TIME``, as BasicSR does it.

    What is looked at is options and pictures, not weights: if a network is trained again by the same options (its
    folder was moved away, say), the stages that took the earlier one stay done. Move their folders away, too, to have
    them done anew.

    Args:
        out: the folder.
        say: is told what people should know, in one line each.
    """

    def __init__(self, out: Path, say: Callable[[str], object]) -> None:
        self.out = out
        self._say = say

    def folder(self, stage: Stage) -> Path:
        """Where a stage's results are."""
        if isinstance(stage, PictureSets):
            return self.out / 'data' / stage.name
        return self.out / ('experiments' if stage.command == 'train' else 'results') / stage.name

    def state(self, stage: Stage) -> State:
        """How far a stage is."""
        folder = self.folder(stage)
        if isinstance(stage, PictureSets):
            made = _read_json(folder / _RECORD).get('made_from')
            return 'absent' if made is None else 'done' if made == stage.made_from else 'changed'
        copy = folder / f'{stage.name}.yml'
        if not copy.is_file():
            return 'absent'
        # BasicSR writes the time and the command above it.
        if not copy.read_text(encoding='utf-8', errors='replace').endswith(stage.text):
            return 'changed'
        if stage.command == 'test':
            sets = (section['name'] for section in stage.options['datasets'].values())
            return 'done' if all((folder / f'{name}.csv').is_file() for name in sets) else 'absent'
        return 'done' if zipfile.is_zipfile(folder / 'models' / 'net_g_latest.pth') else 'unfinished'

    def record(self, stage: Stage) -> Record:
        """How a stage was done, as far as it is known."""
        return self._record_in(self.folder(stage))

    def usual_seconds(self, stage: Stage) -> float | None:
        """What stages of the same kind took here on average; ``None`` if there was none.

        Those that were archived do not count: they were done by other options.
        """
        kind = _kind(stage.name)
        pattern = 'data/*' if stage.stage == 'data' else f'*/{kind}_*'
        folders = [
            path.parent for path in self.out.glob(f'{pattern}/{_RECORD}') if '_archived_' not in path.parent.name
        ]
        if stage.stage != 'data':
            folders = [folder for folder in folders if _kind(folder.name) == kind]
        records = [self._record_in(folder) for folder in folders]
        known = [record.seconds for record in records if record.seconds is not None and record.done]
        return sum(known) / len(known) if known else None

    def do(self, stage: Stage, title: str) -> None:
        """Does a stage, or what is left of it; nothing if it is done when its turn has come.

        Raises:
            StageError: if a training or a test fails.
            UserError: if the system refuses to read or write.
        """
        lock = self.out / 'locks' / f'{self.folder(stage).parent.name}_{stage.name}.lock'
        waits = f'{title}: another process is at work on it; waiting'
        try:
            with stage_lock(lock, lambda: self._say(waits)) as held:
                state = self.state(stage)
                if state == 'changed':
                    self._say(f'{stage.name}: its options or pictures have changed; done anew, the old one is archived')
                if state == 'done':
                    return
                if isinstance(stage, PictureSets):
                    self._make(stage)
                else:
                    self._run(stage, title, state == 'unfinished', held)
        except OSError as cause:
            raise self._refused(title, cause) from cause

    def _refused(self, title: str, cause: OSError) -> UserError:
        """What the system refused: to write in this folder, or something else, a photograph say."""
        file = cause.filename
        if cause.errno in _OUT_OF_SPACE or (
            isinstance(file, str | os.PathLike) and Path(file).resolve().is_relative_to(self.out.resolve())
        ):
            return cannot_write(self.out, cause)
        said = cause.strerror or ' '.join(str(cause).split()) or type(cause).__name__
        return UserError(
            f'{title}: the system refused{f" {file}" if file else ""} ({said}); mend that and run it again'
        )

    def _make(self, sets: PictureSets) -> None:
        begin = time.monotonic()
        folder = self.folder(sets)
        unfinished = folder.with_name(f'.unfinished_{sets.name}')
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        sets.write(unfinished)
        record = Record(time.monotonic() - begin, _facts(), ended=_now())
        (unfinished / _RECORD).write_text(json.dumps({'made_from': sets.made_from, **asdict(record)}), encoding='utf-8')
        if folder.exists():
            folder.rename(folder.with_name(f'{folder.name}_archived_{time.strftime("%Y%m%d_%H%M%S")}'))
        unfinished.rename(folder)

    def _run(self, run: PipelineRun, title: str, resumes: bool, held: tuple[int, ...]) -> None:
        option_file = Path('options', f'{run.name}.yml')
        with whole_file(self.out / option_file) as temporary:
            temporary.write_text(run.text, encoding='utf-8')
        before = self.record(run) if resumes else Record(0.0)
        if resumes:  # if this run is killed, nobody knows what it took
            (self.folder(run) / _RECORD).unlink(missing_ok=True)
        begin = time.monotonic()
        try:
            run_stage(
                run.command,
                option_file,
                self.out,
                title=title,
                iterations=run.iterations,
                log=self.out / 'logs' / f'{run.name}.txt',
                resumes=resumes,
                held_files=held,
            )
        except BaseException:
            if resumes or self.state(run) == 'unfinished':
                with suppress(OSError):
                    self._note(run, before, begin, done=False)
            raise
        self._note(run, before, begin, done=True)
        if run.command == 'test':
            with whole_file(self.folder(run) / f'{run.name}.yml') as temporary:
                temporary.write_text(run.text, encoding='utf-8')

    def _note(self, run: PipelineRun, before: Record, begin: float, done: bool) -> None:
        seconds = None if before.seconds is None else before.seconds + time.monotonic() - begin
        with whole_file(self.folder(run) / _RECORD) as temporary:
            temporary.write_text(json.dumps(asdict(Record(seconds, _facts(), done, _now()))), encoding='utf-8')

    @staticmethod
    def _record_in(folder: Path) -> Record:
        content = _read_json(folder / _RECORD)
        seconds, machine, ended = (content.get(key) for key in ('seconds', 'machine', 'ended'))
        if content and not isinstance(ended, str):  # an older version wrote it
            ended = _iso(datetime.fromtimestamp((folder / _RECORD).stat().st_mtime, timezone.utc))
        return Record(
            float(seconds) if isinstance(seconds, int | float) else None,
            dict(machine) if isinstance(machine, dict) else {},
            content.get('done') is not False,
            ended if isinstance(ended, str) else '',
        )


def _kind(name: str) -> str:
    """Of a run, by its folder: its stage, but for the test of an oracle, which has a kind of its own."""
    return 'score_oracle' if name.startswith('score_oracle_') else name.partition('_')[0]


def _now() -> str:
    return _iso(datetime.now(timezone.utc))


def _iso(moment: datetime) -> str:
    """Always of the same length, so that the later one is the greater."""
    return moment.isoformat(timespec='microseconds')


def _facts() -> dict[str, str]:
    from basicsr import __version__ as basicsr_version

    return {**machine_facts(), 'basicsr': basicsr_version, 'b2b_basicsr': __version__}


def _read_json(path: Path) -> dict[str, object]:
    """What a file holds; nothing where it is not there or torn."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
