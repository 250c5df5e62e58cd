"""The stages of `b2b bench gain`: what each one makes, by which options, of what."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from b2b_basicsr.gain.option_files import as_text
from b2b_basicsr.gain.photo_manifest import digest

STAGES = ('data', 'deblur', 'kernel', 'translate', 'oracle', 'score')
"""In their order."""


@dataclass(frozen=True)
class PictureSets:
    """A folder of picture sets, ``data/NAME``.

    Args:
        name: of the folder.
        made_from: of what it is made: another one means other pictures.
        write: writes the sets into a folder.
        title: for people.
        earlier: other such folders that it is made of.
    """

    name: str
    made_from: str
    write: Callable[[Path], None]
    title: str
    earlier: tuple[PictureSets, ...] = ()

    stage = 'data'


@dataclass(frozen=True)
class PipelineRun:
    """A training or a test by an option file.

    Args:
        stage: one of :data:`STAGES`.
        command: ``train`` or ``test``.
        options: of the file; ``name`` is that of the folder below ``experiments/`` or ``results/``.
        title: for people.
        pictures: the sets that it reads.
        earlier: the trainings whose networks it takes.
    """

    stage: str
    command: Literal['train', 'test']
    options: Mapping[str, Any]
    title: str
    pictures: tuple[PictureSets, ...]
    earlier: tuple[PipelineRun, ...] = ()

    @property
    def name(self) -> str:
        """Of its folder and its option file."""
        return str(self.options['name'])

    @property
    def iterations(self) -> int:
        """Of a training; 0 for a test."""
        return int((self.options.get('train') or {}).get('total_iter', 0))

    @cached_property
    def text(self) -> str:
        """The option file.

        In comments it says what it hangs on, so that with other pictures, or another network before it, it is another.
        """
        made_from = {f'data/{sets.name}': sets.made_from for sets in self.pictures}
        made_from |= {run.name: run.text_digest for run in self.earlier}
        lines = [
            f'# Stage {self.stage} of `b2b bench gain`, which made this file, and does the stage anew if it changes.'
        ]
        lines += [f'# Hangs on {name}, {of}.' for name, of in made_from.items()]
        return '\n'.join(lines) + f'\n\n{as_text(self.options)}'

    @property
    def text_digest(self) -> str:
        """16 hexadecimal digits that stand for the option file, and so for all that it hangs on."""
        return digest(self.text.encode())


Stage = PictureSets | PipelineRun


def needs(stage: Stage) -> tuple[Stage, ...]:
    """What must be done before a stage."""
    return stage.earlier if isinstance(stage, PictureSets) else (*stage.pictures, *stage.earlier)


def fingerprint(*parts: Any) -> str:
    """16 hexadecimal digits that stand for values: data classes, options, numbers, texts, and lists of them.

    Of arrays the shape alone counts, as their last digits differ between machines.
    """
    return digest(json.dumps(_plain(parts), sort_keys=True).encode())


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return list(value.shape)
    if isinstance(value, BaseModel):
        return [type(value).__name__, _plain(value.model_dump())]
    if is_dataclass(value):
        return [type(value).__name__, {field.name: _plain(getattr(value, field.name)) for field in fields(value)}]
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
