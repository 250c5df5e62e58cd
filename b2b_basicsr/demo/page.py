"""The demo's page: one HTML file with everything in it."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from numpy.typing import NDArray

from b2b_basicsr.demo.results import HeldOutPicture, Score, read

LABELS = {
    'blurry': 'blurry (unknown blur)',
    'direct': 'deblurred directly',
    'translated': 'translated to the known blur',
    'restored': 'deblurred after translation',
    'sharp': 'sharp',
}


def write_page(
    folder: Path,
    pictures: Sequence[HeldOutPicture],
    scores: Mapping[str, Score],
    gain: float,
    curve: Sequence[tuple[int, float]],
) -> Path:
    """Writes ``index.html``, and the strips that it shows as PNG files in ``pictures/``.

    Args:
        folder: the demo's folder.
        pictures: the held-out photographs' files.
        scores: the rows of the table.
        gain: in decibels.
        curve: (iteration, gain) of the validations.

    Returns:
        The page's path.
    """
    rows = []
    for picture in pictures:
        strip = cv2.hconcat([read(getattr(picture, label)) for label in LABELS])
        path = folder / 'pictures' / f'{picture.name}.png'
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), strip)
        rows.append({'name': picture.name.replace('_', ' '), 'cells': _cells(picture)})
    environment = Environment(loader=PackageLoader('b2b_basicsr.demo'), autoescape=select_autoescape())
    page = environment.get_template('page.html').render(
        rows=rows, labels=LABELS, scores=scores, gain=gain, curve=_plot(curve) if curve else None
    )
    path = folder / 'index.html'
    path.write_text(page, encoding='utf-8')
    return path


def _cells(picture: HeldOutPicture) -> list[dict[str, str]]:
    named = [(field.name, getattr(picture, field.name)) for field in fields(picture) if field.name in LABELS]
    return [{'label': LABELS[name], 'source': _embedded(_as_jpeg(read(path)), 'jpeg')} for name, path in named]


def _as_jpeg(picture: NDArray[np.uint8]) -> bytes:
    """Without visible loss; the PNG files themselves would make a page of 30 MB."""
    _, encoded = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, 93])
    return encoded.tobytes()


def _plot(curve: Sequence[tuple[int, float]]) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.6), layout='constrained')
    axes = figure.subplots()
    axes.axhline(0, color='0.6', linewidth=1)
    axes.plot(*zip(*curve, strict=True), marker='o')
    axes.set_xlabel('iteration of Blur2Blur')
    axes.set_ylabel('gain in dB (centre crops)')
    axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=120)
    return _embedded(buffer.getvalue(), 'png')


def _embedded(picture: bytes, kind: str) -> str:
    return f'data:image/{kind};base64,{base64.b64encode(picture).decode("ascii")}'
