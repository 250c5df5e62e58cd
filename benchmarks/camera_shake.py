"""Times the camera shake (K's sources 2 and 3): in a data loader's worker, and batched on a device.

Prints milliseconds a picture, the least of several runs, and the ratio of the two.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import click
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from b2b_basicsr.data import CameraShake

CROP = 256


def least(run: Callable[[], object], repeats: int, device: torch.device) -> float:
    """The least time of several runs after one that does not count, in milliseconds."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run()
        if device.type == 'cuda':
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 1000 * min(times[1:])


@click.command(help=__doc__)
@click.option('--device', default='cpu', show_default=True, help='Where batches are blurred.')
@click.option('--batch', default=8, show_default=True, help='Pictures in a batch.')
@click.option('--threads', default=1, show_default=True, help='Of the CPU.')
@click.option('--repeats', default=5, show_default=True, help='Runs, of which the least counts.')
def main(device: str, batch: int, threads: int, repeats: int) -> None:
    """Times and prints."""
    place = torch.device(device)
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    print(f'crop {CROP}, length 25, {threads} thread(s); milliseconds a picture')
    print('rotation  worker  batched  batched / worker')
    for degrees in (0.0, 1.0):
        shake = CameraShake(length=(25.0, 25.0), rotation=(degrees, degrees))
        side = CROP + 2 * shake.margin
        centre = (side / 2 - 200.0, side / 2 - 100.0)
        crop = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
        pictures = torch.from_numpy(crop.transpose(2, 0, 1).copy()).float().div(255).to(place)
        base = pictures.expand(batch, -1, -1, -1).contiguous()
        seeds, centres = torch.arange(batch), torch.tensor([centre] * batch)

        def worker(
            shake: CameraShake = shake, crop: NDArray[np.uint8] = crop, centre: tuple[float, float] = centre
        ) -> object:
            return shake.blur(crop, np.random.default_rng(1), centre, shake.margin)

        def batched(
            shake: CameraShake = shake,
            base: torch.Tensor = base,
            seeds: torch.Tensor = seeds,
            centres: torch.Tensor = centres,
        ) -> object:
            return shake.blur_batch(base, seeds, centres)

        alone = least(worker, repeats, torch.device('cpu'))
        together = least(batched, repeats, place) / batch
        print(f'{degrees:8g}  {alone:6.1f}  {together:7.1f}  {together / alone:16.2f}')


if __name__ == '__main__':
    main()
