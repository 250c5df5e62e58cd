"""How far restoring by tiles is from restoring whole pictures, by overlap, for networks trained on the spot.

Each network is trained to deblur near-horizontal camera shake on crops of photographs (weights are kept in OUT and used
again). Then larger photographs that it has not seen, blurred alike, are restored whole and by tiles. The table gives
the PSNR of the one to the other, and how large the difference is where one tile hands over to the next, against
elsewhere: its mean over the pictures, and its most. Much above 1 a seam would stand out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from b2b_basicsr.archs import MIMOUNet, NAFNet, NAFNetLocal, Restormer
from b2b_basicsr.data.camera_shake import CameraShake
from b2b_basicsr.data.picture_source import PictureSource
from b2b_basicsr.tiling import apply_tiled, tile_starts

_SHAKE = CameraShake(length=(9, 21), angle=(-15, 15), curvature=(0, 30))  # narrow enough to be learnt in minutes
_CROP = 128
_HELD_OUT = 6
_SCALE = 2
_NAFNET: dict[str, Any] = {'width': 32, 'enc_blk_nums': [1, 1, 1, 28], 'middle_blk_num': 1, 'dec_blk_nums': [1] * 4}
_RESTORMER: dict[str, Any] = {'dim': 24, 'num_blocks': [2, 3, 3, 4], 'num_refinement_blocks': 2}

Levels = NDArray[np.uint8]

# What is trained, with its batch and rate, and the networks that are measured with those weights.
_TRAINED: dict[str, tuple[Callable[[], nn.Module], int, float]] = {
    'MIMOUNet': (MIMOUNet, 2, 5e-4),
    'NAFNet': (lambda: NAFNet(**_NAFNET), 2, 1e-3),
    'Restormer': (lambda: Restormer(**_RESTORMER), 1, 5e-4),
}
_MEASURED: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    'MIMOUNet': ('MIMOUNet', MIMOUNet),
    'NAFNetLocal': ('NAFNet', lambda: NAFNetLocal(**_NAFNET, train_size=[1, 3, _CROP, _CROP])),
    'NAFNet': ('NAFNet', lambda: NAFNet(**_NAFNET)),
    'Restormer': ('Restormer', lambda: Restormer(**_RESTORMER)),
}


def as_tensor(picture: NDArray[Any]) -> Tensor:
    """[3, h, w] in [0, 1] of float32 [h, w, 3] in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32))


def crops(source: PictureSource, indices: NDArray[np.int64], batch: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Blurry and sharp crops, endlessly."""
    generator = np.random.default_rng(seed)
    margin = _SHAKE.margin
    while True:
        pairs = []
        for index in generator.choice(indices, batch):
            sharp = np.asarray(source.read(int(index)))
            side = _CROP + 2 * margin
            top, left = (int(generator.integers(max(1, length - side + 1))) for length in sharp.shape[:2])
            sharp = sharp[top : top + side, left : left + side]
            inside = np.s_[margin : margin + _CROP, margin : margin + _CROP]
            blurry = _SHAKE.blur(sharp, generator)
            pairs.append((as_tensor(blurry[inside]), as_tensor(sharp[inside] / 255)))
        lq, gt = zip(*pairs, strict=True)
        yield torch.stack(lq), torch.stack(gt)


def outputs_of(net: nn.Module, picture: Tensor) -> list[Tensor]:
    """From the smallest to the full size; one or three."""
    outputs = net(picture)
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def train(name: str, source: PictureSource, indices: NDArray[np.int64], iterations: int, out: Path) -> None:
    """Trains a network and saves its weights."""
    build, batch, rate = _TRAINED[name]
    torch.manual_seed(0)
    net = build().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, betas=(0.9, 0.9))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations, rate / 100)
    data = crops(source, indices, batch, seed=0)
    before = after = 0.0
    for _ in (bar := tqdm(range(iterations), desc=name, unit='step')):
        lq, gt = next(data)
        with torch.autocast('cpu', torch.bfloat16):
            outputs = outputs_of(net, lq.contiguous(memory_format=torch.channels_last))
        targets = [F.interpolate(gt, one.shape[-2:], mode='area') for one in outputs]
        loss = torch.stack([F.l1_loss(one.float(), gt) for one, gt in zip(outputs, targets, strict=True)]).sum()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.1)
        optimizer.step()
        schedule.step()
        share = 0.98
        before = share * before + (1 - share) * float(F.l1_loss(lq, gt))
        after = share * after + (1 - share) * float(F.l1_loss(outputs[-1].detach().float(), gt))
        bar.set_postfix_str(f'error left {after / before:.3f}')
    torch.save({'params': net.state_dict(), 'error_left': after / before}, out / f'{name}.pth')


def psnr(difference: Tensor) -> float:
    """In decibels, of a difference in [-1, 1]."""
    return -10 * math.log10(max(float(difference.square().mean()), 1e-20))


def handovers(height: int, width: int, tile: int, overlap: int) -> Tensor:
    """Where tiles hand over to each other: bool [h, w], 8 pixels about the middle of what neighbours share."""
    mask = torch.zeros(height, width, dtype=torch.bool)
    for dim, length in ((0, height), (1, width)):
        starts = tile_starts(length, tile, overlap)
        for before, after in pairwise(starts):
            middle = (after + before + tile) // 2
            mask.narrow(dim, middle - 4, 8).fill_(True)
    return mask


@torch.no_grad()
def measure(
    name: str, pictures: list[Tensor], tiles: list[int], overlaps: list[int], out: Path
) -> list[dict[str, Any]]:
    """The rows of one network's table; kept in OUT, too."""
    weights, build = _MEASURED[name]
    net = build().eval().to(memory_format=torch.channels_last)
    content = torch.load(out / f'{weights}.pth', weights_only=True)
    net.load_state_dict(content['params'])

    def restore(picture: Tensor) -> tuple[Tensor, ...]:
        return (outputs_of(net, picture)[-1],)

    whole = [restore(picture)[0] for picture in tqdm(pictures, desc=f'{name}, whole', unit='picture')]
    rows = []
    for tile in tiles:
        for overlap in overlaps:
            if overlap > tile // 2:
                continue
            found = []
            for picture, reference in zip(
                pictures, tqdm(whole, desc=f'{name}, tile {tile}, overlap {overlap}', unit='picture'), strict=True
            ):
                (tiled,) = apply_tiled(restore, picture, tile, overlap)
                difference = (tiled.clamp(0, 1) - reference.clamp(0, 1)).abs()
                height, width = picture.shape[-2:]
                mask = handovers(height, width, tile, overlap)
                at_seam = float(difference[..., mask].mean()) / float(difference[..., ~mask].mean())
                found.append((psnr(difference), float(difference.max()) * 255, at_seam))
            values, largest, seams = zip(*found, strict=True)
            rows.append(
                {
                    'network': name,
                    'tile': tile,
                    'overlap': overlap,
                    'psnr_least': min(values),
                    'psnr_mean': float(np.mean(values)),
                    'largest_levels': max(largest),
                    'seam_mean': float(np.mean(seams)),
                    'seam_most': max(seams),
                    'error_left': content['error_left'],
                }
            )
            tqdm.write(json.dumps(rows[-1]))
            (out / f'{name}.json').write_text(json.dumps(rows, indent=1), encoding='utf-8')
    return rows


@click.command()
@click.option('--photos', type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option('-o', '--out', type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option('--iterations', default=1500, show_default=True, help='Of each training.')
@click.option('--tile', 'tiles', multiple=True, type=int, default=(256, 512), show_default=True)
@click.option('--overlap', 'overlaps', multiple=True, type=int, default=(0, 32, 64, 96, 128), show_default=True)
@click.option('--network', 'names', multiple=True, type=click.Choice(list(_MEASURED)), default=list(_MEASURED))
@click.option('--pictures', 'count', type=click.IntRange(1, _HELD_OUT), default=_HELD_OUT, show_default=True)
@click.option('--train-only', is_flag=True)
def main(
    photos: Path,
    out: Path,
    iterations: int,
    tiles: tuple[int, ...],
    overlaps: tuple[int, ...],
    names: tuple[str, ...],
    count: int,
    train_only: bool,
) -> None:
    """Trains what is not there yet, and measures."""
    out.mkdir(parents=True, exist_ok=True)
    source = PictureSource('--photos', str(photos), {'type': 'disk'})
    order = np.random.default_rng(0).permutation(len(source))
    for weights in dict.fromkeys(_MEASURED[name][0] for name in names):
        if not (out / f'{weights}.pth').is_file():
            train(weights, source, order[_HELD_OUT:], iterations, out)
    if train_only:
        return
    pictures = []
    for index in order[:count]:
        photograph = source.read(int(index))
        large = photograph.resize((photograph.width * _SCALE, photograph.height * _SCALE), Image.Resampling.LANCZOS)
        blurry = _SHAKE.blur(np.asarray(large), np.random.default_rng(int(index)))
        pictures.append(as_tensor(blurry)[None])
    rows = [row for name in names for row in measure(name, pictures, list(tiles), list(overlaps), out)]
    click.echo(
        f'{"network":12} {"tile":>5} {"overlap":>8} {"PSNR least":>10} {"mean":>6} {"levels":>6} {"seam":>5} '
        f'{"most":>5}'
    )
    for row in rows:
        click.echo(
            f'{row["network"]:12} {row["tile"]:5} {row["overlap"]:8} {row["psnr_least"]:10.1f} {row["psnr_mean"]:6.1f} '
            f'{row["largest_levels"]:6.1f} {row["seam_mean"]:5.2f} {row["seam_most"]:5.2f}'
        )


if __name__ == '__main__':
    main()
