"""How far networks in 16 bits are from the same networks in 32, on photographs.

A line for each checkpoint and precision: the least PSNR to the fp32 result, the largest difference at any pixel of 255
levels, and seconds a picture (of one run, of fp32 beside it). "ours" is what restoring does, autocast with the weights
of convolutions in 16 bits; "autocast" converts them every time; "all" has every weight, and the picture, in 16 bits.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path

import basicsr  # noqa: F401  (first, and whole: importing it imports all of ours)
import click
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from b2b_basicsr.half_precision import DTYPES
from b2b_basicsr.restore.network_file import network_from_file
from b2b_basicsr.restore.precision import PRECISIONS, Precision, computing_in, prepared_for


def middle(path: Path, side: int) -> Tensor:
    """The middle of a photograph, [1, 3, side, side] in [0, 1]."""
    with Image.open(path) as opened:
        left, top = (opened.width - side) // 2, (opened.height - side) // 2
        rgb = np.array(opened.convert('RGB').crop((left, top, left + side, top + side)))
    picture = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255
    return picture.contiguous(memory_format=torch.channels_last)


def results(net: Callable[[Tensor], object], pictures: list[Tensor]) -> tuple[list[Tensor], float]:
    """What a network makes of the pictures, and the least seconds."""
    found, seconds = [], []
    net(pictures[0])
    for picture in pictures:
        start = time.perf_counter()
        outputs = net(picture)
        seconds.append(time.perf_counter() - start)
        last = outputs[-1] if isinstance(outputs, list | tuple) else outputs
        assert isinstance(last, Tensor)
        found.append(last.float().clamp(0, 1))
    return found, min(seconds)


def forms(net: nn.Module, precision: Precision) -> dict[str, Callable[[Tensor], object]]:
    """The network in 16 bits, in three ways."""
    ours = prepared_for(precision, net)[0]
    low = copy.deepcopy(net).to(DTYPES[precision])

    def by_autocast(one: nn.Module) -> Callable[[Tensor], object]:
        def run(picture: Tensor) -> object:
            with computing_in(precision, 'cpu'):
                return one(picture)

        return run

    return {
        'ours': by_autocast(ours),
        'autocast': by_autocast(net),
        'all': lambda picture: low(picture.to(DTYPES[precision])),
    }


@click.command(help=__doc__)
@click.argument('networks', nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option('--photos', type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option('--pictures', type=click.IntRange(min=1), default=3, show_default=True, help='The first of them.')
@click.option('--side', type=click.IntRange(min=64), default=512, show_default=True, help='Of the crops, in pixels.')
@torch.no_grad()
def main(networks: tuple[Path, ...], photos: Path, pictures: int, side: int) -> None:
    """Measures and prints."""
    crops = [middle(path, side) for path in sorted(photos.glob('*.jpg'))[:pictures]]
    print('network, precision, form, least PSNR (dB), largest difference (levels), seconds')
    for path in networks:
        net = network_from_file('network', path).to(memory_format=torch.channels_last)
        wanted, seconds = results(net, crops)
        print(f'{path}, fp32, , , , {seconds:.2f}', flush=True)
        for precision in PRECISIONS[1:]:
            for name, form in forms(net, precision).items():
                found, seconds = results(form, crops)
                differences = [one - other for one, other in zip(found, wanted, strict=True)]
                least = min(-10 * math.log10(max(float(one.square().mean()), 1e-20)) for one in differences)
                most = max(float(one.abs().max()) * 255 for one in differences)
                print(f'{path}, {precision}, {name}, {least:.1f}, {most:.2f}, {seconds:.2f}', flush=True)


if __name__ == '__main__':
    main()
