"""The demo's page: the report of its test, with the demo's own table and the gain of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2

from b2b_basicsr.demo.results import HeldOutPicture, Score, read
from b2b_basicsr.prepare.write_errors import cannot_write
from b2b_basicsr.records.score_names import GAIN
from b2b_basicsr.report.curves import drawn, metric_panels
from b2b_basicsr.report.embedded_pictures import Encoding, embed_all
from b2b_basicsr.report.page import Page, PictureSet, write_page
from b2b_basicsr.report.run_folder import open_run
from b2b_basicsr.report.score_table import Cell, Table, shown
from b2b_basicsr.whole_file import whole_file

_ABOUT = (
    'A deblurrer was trained on one known blur, near-horizontal camera shake. Another camera has an unknown blur, '
    'defocus, on which that deblurrer does harm. Blur2Blur learnt from unpaired photographs of that camera to '
    'translate its blur into the known one. The photographs below were seen in no training.',
    'The gain is what translation adds: deblurred after translation, less deblurred directly, by the same frozen '
    'deblurrer. Networks, pictures and training time are a small fraction of a real training, so the restored '
    'photographs are not good in themselves; look at what direct deblurring did to them.',
)


def write_demo_page(folder: Path, scores: Mapping[str, Score], gain: float) -> Path:
    """Writes ``index.html``, by what the demo's training and test left in its folder.

    Args:
        folder: the demo's folder.
        scores: the rows of the table.
        gain: in decibels.

    Returns:
        The page's path.

    Raises:
        UserError: if it cannot be written.
    """
    training = open_run(folder / 'experiments' / 'demo_b2b')
    gains = {
        iteration: {dataset: {GAIN: values[GAIN]} for dataset, values in of_sets.items()}
        for iteration, of_sets in training.validations.items()
    }
    (held_out,) = open_run(folder / 'results' / 'demo_test').sets_at(0)
    pictures = sorted(held_out.pictures, key=lambda picture: picture.name)
    rows = [
        [Cell(name), Cell(shown('psnr', score.psnr)), Cell(shown('ssim', score.ssim))] for name, score in scores.items()
    ]
    encoding = Encoding()
    page = Page(
        title='Blur2Blur, at small scale',
        kind='Demo',
        paragraphs=_ABOUT,
        tables=[Table('means over the held-out photographs', ('', 'PSNR, dB', 'SSIM'), rows)],
        highlight=f'gain: {gain:+.2f} dB',
        curves=[('Gain in dB over the iterations of Blur2Blur (centre crops)', drawn(metric_panels(gains)))],
        encoding=encoding.said,
        sets=[PictureSet('', pictures, embed_all(pictures, encoding, 'page'))],
    )
    path = folder / 'index.html'
    write_page(page, path)
    return path


def write_strips(folder: Path, pictures: Sequence[HeldOutPicture]) -> None:
    """Writes each photograph's five pictures side by side, from the blurry to the sharp one: ``pictures/NAME.png``."""
    for picture in pictures:
        parts = (picture.blurry, picture.direct, picture.translated, picture.restored, picture.sharp)
        path = folder / 'pictures' / f'{picture.name}.png'
        _, encoded = cv2.imencode('.png', cv2.hconcat([read(part) for part in parts]))
        try:
            with whole_file(path) as temporary:
                temporary.write_bytes(encoded.tobytes())
        except OSError as cause:
            raise cannot_write(path, cause) from cause
