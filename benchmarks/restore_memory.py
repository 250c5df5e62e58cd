"""Peak memory of restoring a small and a large picture in tiles, each in a process of its own.

The pictures are noise, made in memory; the networks, MIMO-UNet and NAFNetLocal, have random weights, on which memory
does not depend. From the peak of the process (Linux's VmHWM: libraries and networks are in it) the picture and the
result, 3 bytes a pixel each, are taken off; the ratio is that of what is left.

With --files the pictures are files of the size, restored as `b2b restore` does, the next being read and the last
written meanwhile; the networks are left out, and the peak beyond what was there before is told in pictures.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

SIDES = {8: (2304, 3456), 48: (5664, 8496)}  # megapixels: height, width, of 2 : 3
NETWORKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    'narrow': (
        {'num_res': 1, 'base_channel': 8},
        {'width': 8, 'middle_blk_num': 1, 'enc_blk_nums': [1, 1], 'dec_blk_nums': [1, 1]},
    ),
    'published': (
        {},
        {'width': 32, 'middle_blk_num': 1, 'enc_blk_nums': [1, 1, 1, 28], 'dec_blk_nums': [1, 1, 1, 1]},
    ),
}


def restore_once(height: int, width: int, tile: int | None, networks: str) -> None:
    """Restores a picture in this process; prints JSON: MB of the peak, and of the peak before the picture came."""
    import numpy as np

    from b2b_basicsr.archs.mimounet_arch import MIMOUNet
    from b2b_basicsr.archs.nafnet_local_arch import NAFNetLocal
    from b2b_basicsr.restore.pipeline import Blur2BlurPipeline

    of_translator, of_deblurrer = NETWORKS[networks]
    pipeline = Blur2BlurPipeline(
        MIMOUNet(**of_translator), NAFNetLocal(**of_deblurrer), device='cpu', tile='auto' if tile is None else tile
    )
    before = _peak()
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    start = time.perf_counter()
    result = pipeline(picture)
    seconds = time.perf_counter() - start
    peak = _peak()
    print(
        json.dumps(
            {'before': before, 'peak': peak, 'less': peak - (picture.nbytes + result.nbytes) / 1e6, 's': seconds}
        )
    )


def restore_files_once(height: int, width: int, count: int) -> None:
    """Restores JPEG files in this process, by no networks; prints how many pictures of memory it took."""
    import tempfile
    from typing import NoReturn

    import cv2
    import numpy as np

    from b2b_basicsr.restore.inputs import Job
    from b2b_basicsr.restore.restore_files import RestoreSettings, restore_files

    def nothing(picture: Any, **_: Any) -> Any:
        time.sleep(1)  # in which the next is read
        return picture.copy()

    def say(line: str) -> NoReturn:
        raise RuntimeError(line)

    with tempfile.TemporaryDirectory() as folder:
        field = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
        cv2.imwrite(f'{folder}/0.jpg', cv2.resize(field, (width, height)))
        first = Path(folder, '0.jpg')
        for place in range(1, count):
            Path(folder, f'{place}.jpg').write_bytes(first.read_bytes())
        jobs = [Job(Path(folder, f'{place}.jpg'), Path(folder, 'out', f'{place}.jpg')) for place in range(count)]
        del field
        Path('/proc/self/clear_refs').write_text('5')  # forget the peak of making them
        before = _peak()
        restore_files(jobs, nothing, RestoreSettings(), say, show_bar=False)
        taken = _peak() - before
    print(f'{count} files of {height} x {width}: {taken:.0f} MB beyond {before:.0f} MB before: ', end='')
    print(f'{taken * 1e6 / (3 * height * width):.2f} pictures')


def _peak() -> float:
    status = Path('/proc/self/status').read_text()
    return int(status.partition('VmHWM:')[2].split()[0]) * 1024 / 1e6


def measure(height: int, width: int, tile: int | None, networks: str) -> dict[str, float]:
    """What :func:`restore_once` prints, in a fresh process."""
    arguments = json.dumps([height, width, tile, networks])
    done = subprocess.run([sys.executable, __file__, '--once', arguments], stdout=subprocess.PIPE, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


@click.command(help=__doc__)
@click.option('--tile', type=int, help='Side of the tiles.  [default: auto]')
@click.option('--networks', type=click.Choice(list(NETWORKS)), default='narrow', show_default=True)
@click.option('--megapixels', type=click.Choice([str(size) for size in SIDES]), help='This size alone.  [default: all]')
@click.option('--one-tile', is_flag=True, help='A picture of one tile in the place of both.')
@click.option('--files', type=click.IntRange(min=1), help='So many files of each size instead.')
@click.option('--once', hidden=True, help='Run in this process: JSON of height, width, tile, networks.')
def main(
    tile: int | None, networks: str, megapixels: str | None, one_tile: bool, files: int | None, once: str | None
) -> None:
    """Measures, prints a line for each size, and the ratio."""
    if once is not None:
        restore_once(*json.loads(once))
        return
    if files is not None:
        for size, pair in SIDES.items():
            if megapixels in (None, str(size)):
                restore_files_once(*pair, files)
        return
    side = tile or 512
    sides = {size: pair for size, pair in SIDES.items() if megapixels in (None, str(size))}
    if one_tile:
        sides = {side * side // 10**6: (side, side)}
    print(f'{"picture":>12}  networks   tile  MB before  peak MB  less picture and result  seconds')
    left = []
    for height, width in sides.values():
        found = measure(height, width, tile, networks)
        left.append(found['less'])
        memory = f'{found["before"]:9.0f}  {found["peak"]:7.0f}  {found["less"]:23.0f}'
        print(
            f'{height:>5} x {width:<5} {networks:10} {tile or "auto":>4}  {memory}  {found["s"]:7.0f}',
            flush=True,
        )
    if len(left) == 2:
        print(f'ratio: {left[1] / left[0]:.3f}')


if __name__ == '__main__':
    main()
