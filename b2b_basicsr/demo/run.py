"""The demo from start to end."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from b2b_basicsr.demo.page import write_demo_page, write_strips
from b2b_basicsr.demo.picture_sets import make_picture_sets
from b2b_basicsr.demo.results import Score, held_out_pictures, own_blur_pairs, score
from b2b_basicsr.errors import UserError
from b2b_basicsr.shipped_options import shipped_option_files
from b2b_basicsr.stage_process import run_stage

DEBLUR, TRAIN, TEST = 'demo_deblur.yml', 'b2b_demo.yml', 'test_b2b_demo.yml'
_OURS = ('data', 'experiments', 'results', 'logs', 'pictures', DEBLUR, TRAIN, TEST, 'index.html', 'table.txt')


def run_demo(folder: Path, seed: int) -> float:
    """Makes the sets, trains both networks, scores the held-out photographs and writes the page.

    Args:
        folder: where everything goes; what an earlier demo left there is replaced, other files are refused.
        seed: of all random choices.

    Returns:
        The gain in decibels: PSNR restored less PSNR deblurred directly.

    Raises:
        UserError: if the folder holds something else, or packages are missing.
        StageError: if a training or the test fails.
    """
    begin = time.monotonic()
    _clear(folder)
    options = _lay_out_options(folder, seed)
    known_blur = options[TRAIN]['datasets']['train']['synth_known_opt']
    click.echo('Four steps: picture sets, a deblurrer for a known blur, Blur2Blur, held-out photographs.')
    make_picture_sets(folder / 'data', known_blur, seed)
    stages = (
        ('train', DEBLUR, '[2/4] deblurrer '),
        ('train', TRAIN, '[3/4] Blur2Blur '),
        ('test', TEST, '[4/4] held out  '),
    )
    for command, file, title in stages:
        iterations = options[file].get('train', {}).get('total_iter', 0)
        log = folder / 'logs' / f'{Path(file).stem}.txt'
        run_stage(command, Path(file), folder, title=title, iterations=iterations, log=log)
    pictures = held_out_pictures(folder)
    own = own_blur_pairs(folder, options[DEBLUR]['train']['total_iter'])
    scores = {
        'known blur, as it is': score(own['blurry']),
        'known blur, deblurred': score(own['deblurred']),
        'unknown blur, as it is': score((p.blurry, p.sharp) for p in pictures),
        'unknown blur, deblurred directly': score((p.direct, p.sharp) for p in pictures),
        'unknown blur, translated, then deblurred': score((p.restored, p.sharp) for p in pictures),
    }
    # Of the figures as they are shown, so that a reader's own subtraction gives the same.
    shown = {name: round(value.psnr, 2) for name, value in scores.items()}
    gain = shown['unknown blur, translated, then deblurred'] - shown['unknown blur, deblurred directly']
    table = format_table(scores, gain)
    (folder / 'table.txt').write_text(table + '\n', encoding='utf-8')
    write_strips(folder, pictures)
    page = write_demo_page(folder, scores, gain)
    click.echo(f'\n{table}\n\nPage with pictures: {page} ({time.monotonic() - begin:.0f} s in all)')
    return gain


def format_table(scores: Mapping[str, Score], gain: float) -> str:
    """The table that the demo prints."""
    width = max(map(len, scores))
    lines = [f'{"held-out photographs":{width}}  PSNR dB    SSIM']
    lines += [f'{name:{width}}  {value.psnr:7.2f}  {value.ssim:6.4f}' for name, value in scores.items()]
    return '\n'.join([*lines, f'gain: {gain:+.2f} dB'])


def _clear(folder: Path) -> None:
    foreign = [path.name for path in folder.iterdir() if path.name not in _OURS] if folder.is_dir() else []
    if foreign:
        raise UserError(f"-o: {folder} holds {foreign[0]}, which is not the demo's; give a new folder")
    for name in _OURS:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def _lay_out_options(folder: Path, seed: int) -> dict[str, dict[str, Any]]:
    """Copies the three option files, with the seed; gives what they say."""
    shipped = {file.name: file for file in shipped_option_files()}
    options = {}
    for name in (DEBLUR, TRAIN, TEST):
        text = shipped[name].read_text(encoding='utf-8').replace('manual_seed: 0\n', f'manual_seed: {seed}\n')
        (folder / name).write_text(text, encoding='utf-8')
        options[name] = yaml.safe_load(text)
    return options
