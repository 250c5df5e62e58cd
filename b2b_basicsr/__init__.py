"""Blur2Blur (CVPR 2024) for BasicSR: an unknown blur becomes one that a frozen deblurrer knows.

Importing this package is cheap: it loads neither torch nor basicsr. It arranges that our networks, data sets, losses
and models are in BasicSR's registries as soon as ``basicsr`` has been imported (see :mod:`b2b_basicsr.autoload`).

``Blur2BlurPipeline`` restores pictures; it, torch and basicsr with it, is imported when it is first asked for.
"""

from typing import TYPE_CHECKING

from b2b_basicsr.autoload import install

__version__ = '0.1.0'

if TYPE_CHECKING:
    from b2b_basicsr.restore.pipeline import Blur2BlurPipeline as Blur2BlurPipeline

install()


def __getattr__(name: str) -> object:
    if name == 'Blur2BlurPipeline':
        from b2b_basicsr.restore.pipeline import Blur2BlurPipeline

        return Blur2BlurPipeline
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
