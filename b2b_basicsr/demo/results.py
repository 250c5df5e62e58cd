"""What the demo measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from basicsr.metrics import calculate_psnr, calculate_ssim
from numpy.typing import NDArray


def read(path: Path) -> NDArray[np.uint8]:
    """A picture as BGR levels, uint8 [h, w, 3]."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(f'{path}: not there, or no picture')
    return np.asarray(picture, dtype=np.uint8)


@dataclass(frozen=True)
class Score:
    """PSNR in decibels and SSIM in [0, 1], averaged over pictures."""

    psnr: float
    ssim: float


def score(pairs: Iterable[tuple[Path, Path]]) -> Score:
    """Scores pictures against their sharp twins, with BasicSR's metrics, all channels, no border left out.

    Args:
        pairs: the files of a picture and of its ground truth.
    """
    psnr, ssim = [], []
    for picture, gt in ((read(first), read(second)) for first, second in pairs):
        psnr.append(calculate_psnr(picture, gt, crop_border=0))
        ssim.append(calculate_ssim(picture, gt, crop_border=0))
    return Score(float(np.mean(psnr)), float(np.mean(ssim)))


@dataclass(frozen=True)
class HeldOutPicture:
    """The files of one held-out photograph."""

    name: str
    blurry: Path
    direct: Path
    translated: Path
    restored: Path
    sharp: Path


def held_out_pictures(folder: Path) -> list[HeldOutPicture]:
    """What the demo's test left in its folder, in order of name."""
    saved = folder / 'results' / 'demo_test' / 'visualization' / 'held_out'
    found = []
    for sharp in sorted((folder / 'data' / 'test_sharp').iterdir()):
        stem = saved / f'{sharp.stem}_demo_test'
        found.append(
            HeldOutPicture(
                name=sharp.stem,
                blurry=folder / 'data' / 'test_blurry' / sharp.name,
                direct=Path(f'{stem}_direct.png'),
                translated=Path(f'{stem}_translated.png'),
                restored=Path(f'{stem}.png'),
                sharp=sharp,
            )
        )
    return found


def own_blur_pairs(folder: Path, iteration: int) -> dict[str, list[tuple[Path, Path]]]:
    """Held-out photographs with the known blur, ``blurry`` and ``deblurred``, each beside its sharp twin."""
    blurry, deblurred = [], []
    for sharp in sorted((folder / 'data' / 'test_known_sharp').iterdir()):
        saved = folder / 'experiments' / 'demo_deblur' / 'visualization' / sharp.stem / f'{sharp.stem}_{iteration}.png'
        blurry.append((folder / 'data' / 'test_known_blur' / sharp.name, sharp))
        deblurred.append((saved, sharp))
    return {'blurry': blurry, 'deblurred': deblurred}
