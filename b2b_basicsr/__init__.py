"""Blur2Blur (CVPR 2024) for BasicSR: an unknown blur becomes one that a frozen deblurrer knows.

Importing this package is cheap: it loads neither torch nor basicsr. It arranges that our networks, data sets, losses
and models are in BasicSR's registries as soon as ``basicsr`` has been imported (see :mod:`b2b_basicsr.autoload`).
"""

from b2b_basicsr.autoload import install

__version__ = '0.1.0'

install()
