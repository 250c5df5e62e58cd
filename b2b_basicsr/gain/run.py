"""`b2b bench gain` from start to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from b2b_basicsr.errors import UserError
from b2b_basicsr.gain.cameras import known_cameras, target_cameras
from b2b_basicsr.gain.measured_row import measured_row
from b2b_basicsr.gain.page import write_gain_page
from b2b_basicsr.gain.photo_manifest import (
    DEFAULT_SIZE,
    expected_manifest,
    kernels_of,
    lpips_weights,
    read_manifest,
    take_manifest,
)
from b2b_basicsr.gain.plan import Plan
from b2b_basicsr.gain.recipes import SIZES
from b2b_basicsr.gain.results import Key, Results, Row, read_rows
from b2b_basicsr.gain.scenes import SHARES, Scenes
from b2b_basicsr.gain.stages import STAGES, PictureSets, Stage, needs
from b2b_basicsr.gain.variants import VARIANTS
from b2b_basicsr.gain.workplace import Workplace

Say = Callable[[str], object]


@dataclass(frozen=True)
class Asked:
    """What a run is to do.

    Args:
        cameras: target cameras; none: those of the size, all as a rule.
        known: known cameras; none: the first.
        variants: of the translator's training; none: the recipe.
        seeds: of all trainings; none: 0.
        stages: of :data:`~b2b_basicsr.gain.stages.STAGES`; none: all.
    """

    cameras: Sequence[str] = ()
    known: Sequence[str] = ()
    variants: Sequence[str] = ()
    seeds: Sequence[int] = ()
    stages: Sequence[str] = ()


def run_gain(
    out: Path,
    photos: Path | None = None,
    kernels: Path | None = None,
    size: str | None = None,
    asked: Asked | None = None,
    merge: Sequence[Path] = (),
    say: Say = print,
) -> list[Row]:
    """Does what is asked and not done yet, and writes the results and the page.

    Args:
        out: the benchmark's folder; made if it is not there.
        photos: folder of photographs; ``None``: what ``out`` was made of. With ``merge`` and without ``photos``, rows
            are merged and nothing is run.
        kernels: file of measured kernels; ``None``: that of ``out``, or simulated ones.
        size: name of the size; ``None``: that of ``out``, or ``cpu``.
        asked: which cameras, variants, seeds and stages; ``None``: all cameras with the recipe and seed 0.
        merge: files of other machines' results.
        say: is told each stage and what it takes, a line each.

    Returns:
        All rows of the results.

    Raises:
        UserError: for what the user can mend.
        StageError: if a training or a test fails.
    """
    results = Results(out)
    before = results.rows()  # a damaged file is told now, not behind hours of training
    merged = [row for path in merge for row in read_rows(path)]
    run = None
    if photos is not None or not merge:
        run = _Benchmark(out, photos, kernels, size, asked or Asked(), say)
    elif not out.is_dir() and not merged:
        raise UserError(f'-o: {out} is not there, and there are no rows to merge')
    try:
        older = results.merge(merged) if merged else 0
        if older:
            say(f'--merge: {older} {"row" if older == 1 else "rows"} left out; {results.path} has newer ones')
        if run is not None:
            run.do()
    except BaseException:
        with suppress(Exception):  # what stopped the run is to be told
            _renew_page(results, before, say)
        raise
    return _renew_page(results, before, say)


def _renew_page(results: Results, before: Sequence[Row], say: Say) -> list[Row]:
    """Writes the page if rows have changed, in this run or in one that was stopped before it came to that."""
    rows = results.rows()
    page = results.path.with_name('index.html')
    if rows and (rows != before or not page.is_file() or page.stat().st_mtime_ns < results.path.stat().st_mtime_ns):
        say(f'Page: {write_gain_page(results.path.parent)}')
    return rows


class _Benchmark:
    def __init__(
        self, out: Path, photos: Path | None, kernels: Path | None, size: str | None, asked: Asked, say: Say
    ) -> None:
        known, targets = known_cameras(), target_cameras(None)
        there = read_manifest(out)
        size_name = size or (DEFAULT_SIZE if there is None else there.size)
        self._cameras = tuple(dict.fromkeys(asked.cameras or SIZES[size_name].cameras or targets))
        self._known = tuple(dict.fromkeys(asked.known or [next(iter(known))]))
        self._variants = tuple(dict.fromkeys(asked.variants or [next(iter(VARIANTS))]))
        self._seeds = tuple(dict.fromkeys(asked.seeds or [0]))
        self._stages = frozenset(asked.stages or STAGES)
        self._say = say
        self._refuse_too_few(out, photos, size_name)
        self._made_of = (photos, kernels, size)
        self._manifest = expected_manifest(out, photos, kernels, size)
        self._workplace = Workplace(out, say)
        self._results = Results(out)
        targets = target_cameras(kernels_of(out, self._manifest, kernels))
        self._plan = Plan(self._manifest, SIZES[self._manifest.size], known, targets, photos)

    def do(self) -> None:
        """All stages asked for, in an order that gives each camera's results as early as can be."""
        wanted = [stage for stage in self._in_order() if stage.stage in self._stages]
        self._refuse_missing(wanted)
        left = [stage for stage in self._with_their_oracle(wanted) if self._workplace.state(stage) != 'done']
        self._refuse_missing_photos(left)
        self._refuse_missing_weights(left)
        take_manifest(self._workplace.out, *self._made_of)  # a refused call leaves nothing that binds the next one
        total = len(left)
        if not left:
            self._say('Nothing to do: all of it is done already')
        else:
            self._say(f'{total} {"stages" if total > 1 else "stage"} to do{self._time_left(left)}')
        while left:
            stage = left.pop(0)
            label = f'[{total - len(left)}/{total}] {stage.title}'
            begin = time.monotonic()
            self._workplace.do(stage, label)
            self._say(f'{label}: done in {_said(time.monotonic() - begin)}{self._time_left(left)}')
            if stage.stage == 'score':
                self._take_rows()
        self._take_rows()

    # ------------------------------------------------------------------------------------------------ what to do

    def _in_order(self) -> Iterator[Stage]:
        """Each stage once."""
        found: dict[str, Stage] = {}
        for stage in self._with_repetitions():
            found.setdefault(f'{type(stage).__name__} {stage.name}', stage)
        yield from found.values()

    def _with_repetitions(self) -> Iterator[Stage]:
        plan = self._plan
        for known, seed, camera in self._trios():
            for variant in self._variants:
                translate = plan.translate(camera, known, variant, VARIANTS[variant], seed)
                yield plan.known_sets(known)
                for sets in translate.pictures:
                    yield from (*sets.earlier, sets)
                yield plan.deblur(known, seed)
                yield from (run for run in translate.earlier if run.stage == 'kernel')
                yield translate
                if variant == self._variants[0]:
                    yield plan.oracle(camera, known, seed)
                    yield plan.score_oracle(camera, known, seed)
                yield plan.score(camera, known, variant, VARIANTS[variant], seed)

    def _trios(self) -> Iterator[tuple[str, int, str]]:
        for seed in self._seeds:
            for known in self._known:
                for camera in self._cameras:
                    yield known, seed, camera

    def _refuse_missing(self, wanted: Sequence[Stage]) -> None:
        names = {(stage.stage, stage.name) for stage in wanted}
        for stage in wanted:
            for earlier in needs(stage):
                if (earlier.stage, earlier.name) in names or self._workplace.state(earlier) == 'done':
                    continue
                if stage.stage == 'score' and earlier.stage == 'oracle':
                    continue
                raise UserError(
                    f'--stage {stage.stage}: needs stage {earlier.stage} ({earlier.name}), which is not done in '
                    f'{self._workplace.out}; add --stage {earlier.stage}, or leave --stage out'
                )

    def _refuse_missing_photos(self, left: Sequence[Stage]) -> None:
        photos, _, _ = self._made_of
        if photos is not None:
            return
        for stage in left:
            if isinstance(stage, PictureSets) and not stage.earlier:
                raise UserError(f'--photos: missing; the {stage.title} are still to be made')

    def _refuse_missing_weights(self, left: Sequence[Stage]) -> None:
        weights = lpips_weights()
        if self._manifest.lpips and not weights.is_file() and any(stage.stage == 'score' for stage in left):
            raise UserError(
                f"--stage score: {self._workplace.out} measures LPIPS, and its weights are not here; put torchvision's "
                f'alexnet at {weights}, or give the other stages alone'
            )

    def _refuse_too_few(self, out: Path, photos: Path | None, size: str) -> None:
        """Photographs, or blurry pictures for a variant that takes a number of them."""
        most = SIZES[size].at_most
        if photos is None:
            folders = [out / 'data' / camera / 'blurry' for camera in self._cameras]
            made = [len([*folder.iterdir()]) for folder in folders if folder.is_dir()]
            if not made:
                return  # that there are none is told elsewhere
            count = min(made)
        else:
            count = len(Scenes(photos, shorter_side=1, at_most=most).parts['blurry'])
        for name in self._variants:
            takes = VARIANTS[name].pictures
            if takes is not None and count < takes:
                sized = most is not None and most * SHARES['blurry'] < takes
                raise UserError(
                    f'--variant {name}: size {size} has {count} blurry pictures'
                    f'{"; take a larger --size" if sized else " of these photographs; give more --photos"}'
                )

    def _with_their_oracle(self, wanted: Sequence[Stage]) -> list[Stage]:
        """Without the test of an oracle that is not trained."""
        names = {stage.name for stage in wanted}
        kept = []
        for stage in wanted:
            oracle = next((earlier for earlier in needs(stage) if earlier.stage == 'oracle'), None)
            if oracle is None or oracle.name in names or self._workplace.state(oracle) == 'done':
                kept.append(stage)
            else:
                self._say(f'{oracle.name}: not trained yet, so results lack it; --stage oracle --stage score adds it')
        return kept

    def _time_left(self, left: Sequence[Stage]) -> str:
        """By what such stages took here before."""
        known = [self._workplace.usual_seconds(stage) for stage in left]
        whole = [seconds for seconds in known if seconds is not None]
        if sum(whole) < 1:
            return ''
        return f'; {"about" if len(whole) == len(known) else "at least"} {_said(sum(whole))} left'

    # ------------------------------------------------------------------------------------------------ results

    def _take_rows(self) -> None:
        """Puts the rows of the tests that are done into the results: new ones, and those that have changed.

        Variants that are there already come with those that were asked for: an oracle done anew is theirs, too. The
        recipe comes first, as those without a deblurrer take values from its row.
        """
        rows = {row.key: row for row in self._results.rows()}
        for known, seed, camera in self._trios():
            there = [variant for variant in VARIANTS if self._key(camera, known, variant, seed) in rows]
            for variant in dict.fromkeys([next(iter(VARIANTS)), *there, *self._variants]):
                row = self._row(camera, known, variant, seed, rows)
                if row is not None and row != rows.get(row.key):
                    self._results.put([row])
                    rows[row.key] = row

    def _key(self, camera: str, known: str, variant: str, seed: int) -> Key:
        manifest = self._manifest
        return (manifest.photos, manifest.kernels, manifest.size, camera, known, variant, seed)

    def _row(self, camera: str, known: str, variant: str, seed: int, rows: Mapping[Key, Row]) -> Row | None:
        """The row by the tests that are done; ``None`` if its own is not, or if the row that is there tells as much."""
        plan, place = self._plan, self._workplace
        score = plan.score(camera, known, variant, VARIANTS[variant], seed)
        if place.state(score) != 'done':
            return None
        of_oracle = plan.score_oracle(camera, known, seed)
        oracle = of_oracle if place.state(of_oracle) == 'done' else None
        made_from = {'deblur': plan.deblur(known, seed).text_digest, 'score': score.text_digest}
        with_oracle = {**made_from, 'oracle': of_oracle.text_digest}
        if oracle is not None:
            made_from = with_oracle
        trained_by = plan.translate(camera, known, variant, VARIANTS[variant], 0).text_digest
        there = rows.get(self._key(camera, known, variant, seed))
        if (
            there is not None
            and 'direct' in there.means
            and there.trained_by == trained_by
            and there.made_from in (made_from, with_oracle)
            and all(place.record(test).ended <= there.measured_at for test in (score, oracle) if test is not None)
        ):
            return None  # as it was, or as another machine has measured it
        trainings = [*score.earlier[0].earlier, score.earlier[0], *([] if oracle is None else oracle.earlier)]
        stages: list[Stage] = [*score.pictures, *trainings, *([] if oracle is None else [oracle]), score]
        took: dict[str, float] = {}
        for stage in stages:
            seconds = place.record(stage).seconds
            if seconds is not None:
                took[stage.stage] = took.get(stage.stage, 0) + seconds
        return measured_row(
            place,
            self._key(camera, known, variant, seed),
            score,
            oracle,
            took,
            made_from,
            trained_by,
            rows.values(),
        )


def _said(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 100:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.0f} min' if seconds < 6000 else f'{seconds / 3600:.1f} h'
