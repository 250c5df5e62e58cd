"""What `b2b bench gain` measured, over runs and machines: ``results.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from b2b_basicsr.errors import UserError
from b2b_basicsr.prepare.write_errors import cannot_write
from b2b_basicsr.whole_file import whole_file

NAME = 'results.json'

MANIFEST = Path('data', 'photographs.json')
"""In a benchmark's folder: what it is made of."""

Key = tuple[str, str, str, str, str, str, int]
"""Photographs, kernels, size, camera, known camera, variant, seed."""

_PATIENCE_S = 60.0


class Row(BaseModel):
    """A translator's scores on the held-out pictures.

    A row of the same :attr:`key` takes the place of an older one.
    """

    model_config = ConfigDict(frozen=True, extra='allow', use_attribute_docstrings=True)

    photos: str
    """Digest of the photographs' names and sizes."""
    kernels: str
    """Digest of the kernel file, or `simulated`."""
    size: str
    """`tiny`, `brief`, `cpu` or `gpu`."""
    camera: str
    """Of unknown blur."""
    known: str
    """The camera that the deblurrer knows."""
    variant: str
    """How the translator was trained; `recipe` or another."""
    seed: int
    """Of all trainings."""
    means: dict[str, dict[str, float]]
    """Kind of picture -> metric -> mean over the pictures: PSNR in decibels, SSIM in [0, 1].

    `blurry`, `direct`, `restored` and `oracle` are the target camera's: as they are, deblurred, deblurred after
    translation, by the oracle. `known_blurry`, `known_deblurred` and `known_through_g` are the known camera's: as they
    are, deblurred, translated and deblurred.
    """
    gain: float | None
    """PSNR restored less PSNR direct, in decibels."""
    gap_closed: float | None
    """The gain's share of what the oracle gains; nothing where the oracle gains nothing."""
    harm: float | None
    """PSNR of the known camera's pictures deblurred, less that of those that went through G before, in decibels."""
    pictures: dict[str, float]
    """Held-out picture -> gain in decibels."""
    seconds: dict[str, float]
    """Stage -> what it took; stages that runs share stand in the rows of all of them."""
    machine: dict[str, str]
    """What G was trained on: processor, GPU, versions, date."""
    iteration: int
    """Of G's weights."""
    measured_at: str = ''
    """When the last of its tests ended: ISO 8601, in UTC; empty if an older version wrote the row."""
    made_from: dict[str, str] = Field(default_factory=dict)
    """`deblur`, `score` and `oracle` -> digest of that stage's option file, which names all that it hangs on."""
    trained_by: str = ''
    """Digest of the translator's option file as it is with seed 0: rows whose digests differ are no two seeds of one
    training. Empty if an older version wrote the row."""

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return (self.photos, self.kernels, self.size, self.camera, self.known, self.variant, self.seed)

    def psnr(self, kind: str) -> float | None:
        """Mean PSNR of a kind of picture, in decibels; ``None`` where it was not measured."""
        return self.means.get(kind, {}).get('psnr')


def is_gain_folder(folder: Path) -> bool:
    """Whether a folder is one of `b2b bench gain` that has results."""
    return (folder / NAME).is_file()


def is_begun_gain_folder(folder: Path) -> bool:
    """Whether a folder is one of `b2b bench gain`, with results or without."""
    return (folder / MANIFEST).is_file()


def read_rows(path: Path) -> list[Row]:
    """The rows of a file.

    Raises:
        UserError: if it is damaged, or no such file.
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        rows = content['rows']
        if not isinstance(rows, list):
            raise TypeError('rows is no list')
        return [Row.model_validate(row) for row in rows]
    except FileNotFoundError as cause:
        raise UserError(f'{path}: not there; give the {NAME} of a benchmark') from cause
    except ValidationError as cause:
        first = cause.errors()[0]
        where = ':'.join(map(str, first['loc']))
        raise _damaged(path, f'{where}: {first["msg"]}') from cause
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise _damaged(path, ' '.join(f'{type(cause).__name__}: {cause}'.split())) from cause


def _damaged(path: Path, what: str) -> UserError:
    return UserError(
        f'{path}: damaged, or no results of b2b bench gain ({what}); left as it is: mend it, or move it away'
    )


class Results:
    """The results of a benchmark's folder; several processes may add to them at once.

    Args:
        out: the folder.
    """

    def __init__(self, out: Path) -> None:
        self.path = out / NAME
        self._lock = FileLock(out / f'.{NAME}.lock', timeout=_PATIENCE_S)

    def rows(self) -> list[Row]:
        """All of them, in order of their keys.

        Raises:
            UserError: if the file is damaged.
        """
        return read_rows(self.path) if self.path.exists() else []

    def put(self, rows: Iterable[Row]) -> None:
        """Adds rows, which take the place of those of the same keys.

        Raises:
            UserError: if the file is damaged, or cannot be written; it is then as it was.
        """
        with self._alone():
            self._write({row.key: row for row in [*self.rows(), *rows]})

    def merge(self, rows: Iterable[Row]) -> int:
        """Adds rows of other machines, except those that are older than the one of the same key.

        Returns:
            How many were left out.

        Raises:
            UserError: if the file is damaged, or cannot be written; it is then as it was.
        """
        with self._alone():
            before = {row.key: row for row in self.rows()}
            merged, older = dict(before), 0
            for row in rows:
                if row.key in merged and row.measured_at < merged[row.key].measured_at:
                    older += 1
                else:
                    merged[row.key] = row
            if merged != before:
                self._write(merged)
        return older

    def _write(self, rows: Mapping[Key, Row]) -> None:
        content = {'rows': [rows[key].model_dump() for key in sorted(rows)]}
        with whole_file(self.path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                yield
        except Timeout as cause:
            raise UserError(f'{self.path}: another process has been writing it for a minute; end that one') from cause
        except OSError as cause:
            raise cannot_write(self.path, cause) from cause
